#include "ctl/command_line.hpp"

#include "common/domain/identifiers.hpp"
#include "common/domain/limits.hpp"
#include "ctl/api/task_finder.hpp"
#include "ctl/base/durations.hpp"
#include "ctl/commands/api_command.hpp"
#include "ctl/commands/completion.hpp"
#include "ctl/commands/overview.hpp"
#include "ctl/commands/read_commands.hpp"
#include "ctl/commands/task_commands.hpp"

#include <CLI/CLI.hpp>

#include <cstdio>
#include <exception>
#include <functional>
#include <iostream>
#include <optional>
#include <string>
#include <utility>

namespace rollout::ctl {

namespace {

constexpr unsigned history_usually = 3;

/// The options that every command has.
struct general_options {
    setting_options settings;
    bool json = false;
};

struct follow_options {
    std::string until = "final";
    std::string timeout;
    std::string patience = "1m";
    bool watch = false;
    bool wait = false;
    bool no_wait = false;
};

/// The values of all options and arguments; each command uses its own.
struct all_options {
    general_options general;
    follow_options follow;
    deployment_options deployment;
    list_options list;
    std::string name; ///< MODEL, or MODEL|TASK
    std::string key;
    std::string status;
    std::string kind;
    std::string method;
    std::string path;
    std::optional<std::string> data;
    std::string shell;
    bool yes = false;
    bool all = false;
    bool names = false;
};

using command_fn = std::function<exit_code()>;


[[noreturn]] void refuse(const std::string &sentence)
{
    throw command_error(exit_code::usage, sentence);
}


std::chrono::milliseconds duration_of(const std::string &text, const std::string &option)
{
    const auto time = read_duration(text);
    if (!time) {
        refuse(option + " " + text + ": write a duration as 90s, 10m or 2h.");
    }
    return *time;
}


follow_request follow_of(const follow_options &from, bool quiet)
{
    follow_request to;
    const auto until = until_condition::read(from.until);
    if (!until) {
        refuse("--until " + from.until + ": write final, waiting or weight=PERCENT.");
    }
    to.until = *until;
    to.quiet = quiet;
    if (!from.timeout.empty()) {
        to.timeout = duration_of(from.timeout, "--timeout");
    }
    to.patience = duration_of(from.patience, "--patience");
    return to;
}


ask_options ask_of(const all_options &from, bool follows)
{
    ask_options to;
    if (!from.key.empty()) {
        if (!is_task_id(from.key)) {
            refuse("--id " + from.key + ": write 1 to 64 letters, digits, _ and -.");
        }
        to.key = from.key;
    }
    to.yes = from.yes;
    to.follows = from.follow.no_wait ? false : from.follow.watch || from.follow.wait || follows;
    to.follow = follow_of(from.follow, from.follow.wait);
    return to;
}


void require_model(const std::string &name)
{
    if (!is_model_id(name)) {
        refuse("\"" + name +
               "\" is no model's name: write letters, digits, ., _ and -, at most 128, a letter or digit first.");
    }
}


class command_line {
  public:
    command_line() : app_("Steers the deployments of a Rollout gateway over its HTTP API.", "rolloutctl")
    {
        app_.set_version_flag("--version", "rolloutctl " ROLLOUT_VERSION);
        app_.require_subcommand(0, 1); // CLI11 would say that the command is missing before that an option is unknown
        app_.fallthrough();
        app_.failure_message(CLI::FailureMessage::simple);
        add_general_options();
        add_task_commands();
        add_watch_commands();
        add_read_commands();
        add_other_commands();
    }

    /// Null if the arguments are malformed or ask for help, after printing that; `status` is then the exit status.
    command_fn parse(int argc, const char *const *argv, int &status)
    {
        try {
            app_.parse(argc, argv);
        } catch (const CLI::ParseError &error) {
            status = app_.exit(error) == 0 ? 0 : static_cast<int>(exit_code::usage);
            return nullptr;
        }
        if (!chosen_) {
            std::cerr << "A command is missing.\nRun with --help for more information.\n";
            status = static_cast<int>(exit_code::usage);
        }
        return std::move(chosen_);
    }

  private:
    void add_general_options()
    {
        auto &to = options_.general;
        app_.add_option("--url", to.settings.url,
                        "the gateway's URL, with the API's base (ROLLOUT_URL; http://127.0.0.1:8080)");
        app_.add_option("--unix-socket", to.settings.unix_socket, "connect to this Unix socket of nginx's");
        app_.add_option("--cert", to.settings.cert, "the client certificate, PEM");
        app_.add_option("--key", to.settings.key, "the client certificate's key, PEM");
        app_.add_option("--cacert", to.settings.cacert,
                        "the authorities that may sign the gateway's certificate, PEM");
        app_.add_flag("--netrc", to.settings.netrc, "take the user and password from ~/.netrc");
        app_.add_option("--settings", to.settings.file, "the settings file (~/.config/rolloutctl.json)");
        app_.add_flag("--json", to.json, "print documents as they are");
    }

    CLI::App *add(const std::string &name, const std::string &about,
                  std::function<exit_code(gateway &, const output &)> run)
    {
        CLI::App *command = app_.add_subcommand(name, about);
        command->callback([this, run = std::move(run)] {
            chosen_ = [this, run] {
                http_client client(read_settings(options_.general.settings));
                gateway remote(client);
                return run(remote, output(options_.general.json));
            };
        });
        return command;
    }

    void add_name(CLI::App *command, const std::string &what, bool required = true)
    {
        CLI::Option *option =
            command->add_option(what, options_.name, what == "MODEL" ? "the model" : "a model, or a task's id");
        option->required(required);
    }

    void add_end_options(CLI::App *command)
    {
        auto &to = options_.follow;
        command->add_option("--until", to.until, "final, waiting (for a person) or weight=PERCENT");
        command->add_option("--timeout", to.timeout, "stop after this time, with status 4; the task goes on");
        command->add_option("--patience", to.patience, "give up after this time without an answer (1m)");
    }

    void add_follow_options(CLI::App *command)
    {
        auto &to = options_.follow;
        auto *watch = command->add_flag("--watch", to.watch, "show the task until it is over");
        auto *wait = command->add_flag("--wait", to.wait, "wait for the task's end, and print that");
        auto *no_wait = command->add_flag("--no-wait", to.no_wait, "print the task, and do not wait");
        watch->excludes(wait)->excludes(no_wait);
        wait->excludes(no_wait);
        add_end_options(command);
        command->add_option("--id", options_.key,
                            "the request's Idempotency-Key: a repeated request has no further effect");
    }

    void add_task_commands()
    {
        auto &to = options_.deployment;
        auto *deploy =
            add("deploy", "deploys a model, or its next revision", [this](gateway &remote, const output &out) {
                require_model(options_.name);
                options_.deployment.model_id = options_.name;
                return run_deploy(remote, out, options_.deployment, ask_of(options_, true));
            });
        add_name(deploy, "MODEL");
        deploy->add_option("--source", to.source, "where the model comes from");
        deploy->add_option("--sha256", to.sha256, "the source's checksum");
        deploy->add_option("--config", to.config, "the deployment's config: JSON, or @FILE");
        deploy->add_option("--param", to.parameters, "a member of the config: NAME=VALUE; may be repeated")
            ->expected(1)
            ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
        deploy->add_option("--steps", to.steps, "weights and their holds, as 5:30s,25:60s,100");
        add_follow_options(deploy);

        auto *remove = add("delete", "deletes a model", [this](gateway &remote, const output &out) {
            require_model(options_.name);
            return run_delete(remote, out, options_.name, ask_of(options_, true));
        });
        add_name(remove, "MODEL");
        add_follow_options(remove);
        add_yes(remove);
        for (const auto &[verb, name] : task_verb_names) {
            add_verb(verb, std::string(name));
        }
    }

    void add_yes(CLI::App *command) { command->add_flag("-y,--yes", options_.yes, "do not ask first"); }

    void add_verb(task_verb verb, const std::string &name)
    {
        static const std::map<task_verb, std::string> about = {
            {task_verb::cancel, "cancels a task: one that waits never runs, one at work is rolled back"},
            {task_verb::promote, "ends the hold under way, or goes on with a rollout that waits for a person"},
            {task_verb::pause, "keeps the weight where it is"},
            {task_verb::resume, "goes on after a pause"},
            {task_verb::retry, "runs a task that is over again, as a new one"},
            {task_verb::rollback, "brings the revision before back, as a new task"},
        };
        auto *command = add(name, about.at(verb), [this, verb](gateway &remote, const output &out) {
            return run_verb(remote, out, verb, options_.name, ask_of(options_, false));
        });
        add_name(command, "MODEL|TASK");
        add_follow_options(command);
        add_yes(command);
    }

    void add_watch_commands()
    {
        auto *watch = add("watch", "shows a task until it is over, or all tasks that are not",
                          [this](gateway &remote, const output &out) {
                              const follow_request wanted = follow_of(options_.follow, false);
                              return options_.name.empty()
                                         ? watch_all(remote, out, wanted.timeout, wanted.patience)
                                         : follow(remote, out, find_named(remote, options_.name), wanted);
                          });
        add_name(watch, "MODEL|TASK", false);
        add_end_options(watch);
        auto *wait =
            add("wait", "waits for a task's end, and prints that", [this](gateway &remote, const output &out) {
                return follow(remote, out, find_named(remote, options_.name), follow_of(options_.follow, true));
            });
        add_name(wait, "MODEL|TASK");
        add_end_options(wait);
    }

    void add_read_commands()
    {
        auto *status = add("status", "shows a task as it is now", [this](gateway &remote, const output &out) {
            return run_status(remote, out, options_.name);
        });
        add_name(status, "MODEL|TASK");

        auto *list = add("list", "lists tasks, the newest first",
                         [this](gateway &remote, const output &out) { return run_list(remote, out, list_of()); });
        list->add_option("--model", options_.list.model_id, "of this model alone");
        list->add_option("--status", options_.status, "pending, in_progress, completed, failed, refused or canceled");
        list->add_option("--kind", options_.kind, "deploy or delete");
        list->add_option("--limit", options_.list.limit, "how many, at most 1000 (20)")
            ->check(CLI::Range(1U, limits::page_most));

        auto *history =
            add("history", "lists a model's tasks, the newest first", [this](gateway &remote, const output &out) {
                require_model(options_.name);
                options_.list.model_id = options_.name;
                options_.list.limit = options_.all ? limits::page_most : history_usually;
                return run_list(remote, out, list_of());
            });
        add_name(history, "MODEL");
        history->add_flag("--all", options_.all, "not the last three alone");

        auto *models =
            add("models", "lists the models: those with a problem first",
                [this](gateway &remote, const output &out) { return run_models(remote, out, options_.names); });
        models->add_flag("--names", options_.names, "their names alone");
        add("ready", "says whether the gateway has its rolloutd", run_ready);
        add("metrics", "prints the gateway's metrics", run_metrics);
    }

    list_options list_of() const
    {
        list_options to = options_.list;
        if (!options_.status.empty()) {
            to.status = status_from(options_.status);
            to.status = to.status ? to.status : status_from(options_.status, dialect::embedding_studio);
            if (!to.status) {
                refuse("--status " + options_.status +
                       ": write pending, in_progress, completed, failed, refused or canceled.");
            }
        }
        if (!options_.kind.empty()) {
            to.kind = kind_from(options_.kind);
            if (!to.kind) {
                refuse("--kind " + options_.kind + ": write deploy or delete.");
            }
        }
        return to;
    }

    void add_other_commands()
    {
        auto *api =
            add("api", "sends any request, and prints the answer", [this](gateway &remote, const output &out) {
                return run_api(remote, out, options_.method, options_.path, options_.data);
            });
        api->add_option("METHOD", options_.method, "GET or POST")->required();
        api->add_option("PATH", options_.path, "the route, with its query")->required();
        api->add_option("--data", options_.data, "a POST's body: JSON, or @FILE");

        CLI::App *completion = app_.add_subcommand("completion", "prints the completion of commands for a shell");
        completion->add_option("SHELL", options_.shell, "bash, zsh or fish")->required();
        completion->callback([this] {
            chosen_ = [this] {
                const auto script = completion_script(options_.shell);
                if (script.empty()) {
                    refuse("There is no completion for " + options_.shell + "; write bash, zsh or fish.");
                }
                output(false).write(script);
                return exit_code::success;
            };
        });
    }

    CLI::App app_;
    all_options options_;
    command_fn chosen_;
};

} // namespace


int run(int argc, const char *const *argv) noexcept
try {
    command_line line;
    int status = 0;
    const command_fn command = line.parse(argc, argv, status);
    return command ? static_cast<int>(command()) : status;
} catch (const command_error &error) {
    std::fprintf(stderr, "rolloutctl: %s\n", error.what());
    return static_cast<int>(error.code());
} catch (const std::exception &error) {
    std::fprintf(stderr, "rolloutctl: %s\n", error.what());
    return static_cast<int>(exit_code::failed);
}

} // namespace rollout::ctl
