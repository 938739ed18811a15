// rolloutd's scheduler and engine between fakes: a journal, a gateway, an inference server and a clock. The process can be
// killed at any call and started again; what is outside of it stays.
#pragma once

#include "tests/unit/fakes/fake_gateways.hpp"
#include "tests/unit/fakes/fake_journal.hpp"
#include "tests/unit/fakes/fake_server.hpp"
#include "tests/unit/json_of.hpp"
#include "worker/scheduler/scheduler.hpp"

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

struct fake_world {
    fake_world();
    ~fake_world();

    /// A rolloutd on what is there.
    void start();

    /// kill -9 and a start.
    void crash();

    struct answer {
        int status = 200;
        bool created = false;
        std::string detail;
        std::string errors;
        unsigned retry_after_s = 0;
    };

    void submit(rollout::task_kind kind, const std::string &task_id, const std::string &model_id,
                std::string_view members = "{}");

    /// A client's word to a deployment; with an id for the task that it makes the answer is under that id, else under the
    /// word's name.
    void steer(const std::string &task_id, rollout::task_verb verb, const std::string &new_task_id = "");

    rollout::answer_fn noted_as(const std::string &name);

    void deploy(const std::string &task_id, const std::string &model_id, std::string_view members = "{}");

    void remove(const std::string &task_id, const std::string &model_id);

    bool knows(const std::string &task_id) const;

    /// As the journal has it; an empty one where it has none.
    rollout::task task(const std::string &task_id) const;

    std::string status(const std::string &task_id) const;

    rollout::model model(const std::string &model_id);

    bool is_over(const std::string &task_id) const;

    /// Runs to the end of a task; its status.
    std::string finish(const std::string &task_id);

    /// Deploys a revision, with nothing of the story left of it.
    void deployed(const std::string &model_id);

    /// What the server was asked and the gateway told, one a line; the journal's lines where they are wanted.
    std::string told(bool with_journal = false) const;

    /// Where a line of the story stands, its first time; past the end where it does not.
    std::size_t place(const std::string &line) const;

    bool has(const std::string &line) const;

    /// What stands on the server: the loaded models, and where it is another set, what is in the repository and staged.
    std::string server_holds() const;

    /// The route that the gateway follows; of a model of parts, those of its parts.
    std::string route(const std::string &model_id) const;

    std::string violations() const;

    struct rolloutd {
        explicit rolloutd(fake_world &in);

        fake_journal journal;
        fake_gateways gateways;
        fake_server server;
        rollout::task_intake intake;
        rollout::scheduler tasks;
    };

    std::set<std::string> said; ///< a test's clients, to this rolloutd
    rollout::settings config;
    fake_clock time;
    std::vector<std::string> story;
    journal_file file;
    gateway_memory gateway;
    server_memory server;
    std::map<std::string, answer> answers; ///< to submissions and words, by the task's id or the word's name
    std::unique_ptr<rolloutd> process;
};
