#include "tests/unit/fakes/fake_world.hpp"

#include <algorithm>
#include <stdexcept>

fake_world::fake_world()
{
    config.artifacts.source = "file:///srv/models/{model_id}";
    config.backends["default"].upstream = "inference";
    config.backends["default"].check_s = 0;        // a story is of what tasks do; model_monitor_test switches it on
    config.backends["default"].unload_retry_s = 0; // and unload_retry_test this
    start();
    time.settle();
}

fake_world::~fake_world() = default;

void fake_world::start()
{
    process = std::make_unique<rolloutd>(*this);
    std::set<std::string> routed;
    for (const auto &model : process->journal.models()) {
        for (const auto &route : rollout::routes_of(model)) {
            routed.insert(fake_gateways::name_of(route));
        }
    }
    process->gateways.forget_others(routed);
    for (const auto &model : process->journal.models()) {
        process->gateways.load(model);
    }
    process->tasks.recover([this](const rollout::outcome &result) {
        if (result) {
            process->intake.set_engine(&process->tasks);
        }
    });
}

void fake_world::crash()
{
    said.clear();
    process.reset();
    time.forget();
    start();
}

void fake_world::submit(rollout::task_kind kind, const std::string &task_id, const std::string &model_id,
                        std::string_view members)
{
    rollout::submission wanted;
    wanted.kind = kind;
    wanted.task_id = task_id;
    wanted.model_id = model_id;
    wanted.config = json_of(members);
    process->intake.submit(std::move(wanted), noted_as(task_id));
}

void fake_world::steer(const std::string &task_id, rollout::task_verb verb, const std::string &new_task_id)
{
    process->tasks.steer({rollout::task_kind::deploy, task_id, verb, new_task_id},
                         noted_as(new_task_id.empty() ? std::string(rollout::verb_name(verb)) : new_task_id));
}

rollout::answer_fn fake_world::noted_as(const std::string &name)
{
    return [this, name](const rollout::request_answer &how) {
        const auto &no = how.refused;
        answers[name] = how.task != nullptr
                            ? answer{200, how.created, "", "", 0}
                            : answer{no.status, false, no.detail, lines_of(no.errors), no.retry_after_s};
    };
}

void fake_world::deploy(const std::string &task_id, const std::string &model_id, std::string_view members)
{
    submit(rollout::task_kind::deploy, task_id, model_id, members);
}

void fake_world::remove(const std::string &task_id, const std::string &model_id)
{
    submit(rollout::task_kind::remove, task_id, model_id);
}

bool fake_world::knows(const std::string &task_id) const
{
    return file.tasks.contains(task_id);
}

rollout::task fake_world::task(const std::string &task_id) const
{
    return knows(task_id) ? rollout::task_of(file.tasks.at(task_id)).value() : rollout::task();
}

std::string fake_world::status(const std::string &task_id) const
{
    return knows(task_id) ? std::string(rollout::status_name(file.tasks.at(task_id).status)) : "unknown";
}

rollout::model fake_world::model(const std::string &model_id)
{
    for (const auto &one : process->journal.models()) {
        if (one.model_id == model_id) {
            return one;
        }
    }
    return {};
}

bool fake_world::is_over(const std::string &task_id) const
{
    return knows(task_id) && rollout::is_final(file.tasks.at(task_id).status);
}

std::string fake_world::finish(const std::string &task_id)
{
    time.run_until([&] { return is_over(task_id); });
    time.settle();
    return status(task_id);
}

void fake_world::deployed(const std::string &model_id)
{
    const std::string task_id = "before-" + std::to_string(file.revision);
    deploy(task_id, model_id);
    if (finish(task_id) != "completed") {
        throw std::runtime_error(task(task_id).detail);
    }
    story.clear();
}

std::string fake_world::told(bool with_journal) const
{
    std::string lines;
    for (const auto &line : story) {
        if (with_journal || !line.starts_with("journal: ")) {
            lines += line + '\n';
        }
    }
    return lines;
}

std::size_t fake_world::place(const std::string &line) const
{
    return static_cast<std::size_t>(std::find(story.begin(), story.end(), line) - story.begin());
}

bool fake_world::has(const std::string &line) const
{
    return place(line) != story.size();
}

std::string fake_world::server_holds() const
{
    const auto list = [](const std::set<std::string> &names) {
        std::string all;
        for (const auto &name : names) {
            all += (all.empty() ? "" : " ") + name;
        }
        return all;
    };
    return list(server.loaded) + (server.repository == server.loaded ? "" : "; files of " + list(server.repository)) +
           (server.staged.empty() ? "" : "; staged " + list(server.staged));
}

std::string fake_world::route(const std::string &model_id) const
{
    std::string words;
    std::string none = "never any";
    for (const auto &[name, one] : gateway.routes) {
        if (one.model_id == model_id && one.removed()) {
            none = "route of " + model_id + ": none";
        } else if (one.model_id == model_id) {
            words += (words.empty() ? "" : "; ") + fake_gateways::words_of(one);
        }
    }
    return words.empty() ? none : words;
}

std::string fake_world::violations() const
{
    std::string lines;
    for (const auto &one : server.violations) {
        lines += one + '\n';
    }
    return lines;
}

fake_world::rolloutd::rolloutd(fake_world &in)
    : journal(in.file, in.time, in.story), gateways(in.gateway, in.time, in.story),
      server(in.server, in.gateway, in.time, in.story),
      intake(std::shared_ptr<const rollout::settings>(std::shared_ptr<void>(), &in.config), journal, in.time),
      tasks(
          std::shared_ptr<const rollout::settings>(std::shared_ptr<void>(), &in.config), intake, journal, gateways,
          in.time, [this](const std::string &name) { return name == "default" ? &server : nullptr; },
          [this](const rollout::fetch_request &request, rollout::done_fn done) {
              return server.fetch(request, std::move(done));
          },
          [this](const std::string &name, const rollout::hook_settings &, const std::string &body,
                 rollout::done_fn done) { return server.hook(name, body, std::move(done)); })
{
    journal.on_commit = [this](const rollout::journal_news &news) {
        for (const auto &changed : news.models) {
            gateways.follow(changed);
        }
        tasks.on_commit(news);
        intake.on_commit(news);
    };
}
