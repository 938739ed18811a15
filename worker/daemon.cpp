#include "worker/daemon.hpp"

#include "worker/artifact/fetch.hpp"
#include "worker/async/thread_work.hpp"
#include "worker/backend/command/command_backend.hpp"
#include "worker/backend/failing_backend.hpp"
#include "worker/backend/group/group_backend.hpp"
#include "worker/backend/staging_check.hpp"
#include "worker/backend/triton/triton_backend.hpp"
#include "worker/base/failpoint.hpp"
#include "worker/base/format.hpp"
#include "worker/base/log.hpp"
#include "worker/base/permanent_start_error.hpp"
#include "worker/config/backend_servers.hpp"
#include "worker/config/settings_diff.hpp"
#include "worker/hook_call.hpp"

#include <algorithm>
#include <csignal>
#include <ctime>
#include <utility>

namespace rollout {

namespace {

using namespace std::chrono_literals;

constexpr std::size_t most_models_named = 20;

constexpr auto engine_retry_pause = 1000ms;

/// After a lost write: one that is lost again and again must not keep rolloutd busy.
constexpr auto engine_restart_pause = 200ms;

constexpr unsigned most_failed_reads = 5; ///< of a start

} // namespace


void log_unreachable_backends(const std::string &path, const std::vector<json_fault> &faults)
{
    for (const auto &fault : faults) {
        log(log_level::error, "No deployment can reach a backend: " + fault.pointer + ": " + fault.detail,
            {{"file", path}});
    }
}


daemon::daemon(uv_loop_t *loop, std::string path, std::shared_ptr<const settings> config, std::uint64_t threads)
    : loop_(loop), path_(std::move(path)), config_(std::move(config)), threads_(threads), time_(loop), manager_(loop),
      http_(loop), backends_(make_backends(*config_, {})), metrics_(ROLLOUT_VERSION, std::time(nullptr))
{
}


void daemon::start()
{
    // Before the process becomes visible to anybody.
    signals_.start([this](int number) { on_signal(number); });
    try {
        store_ = make_store(loop_, time_, *config_, store_events());
    } catch (const std::exception &error) {
        refuse_start(outcome::transient(error.what()));
        return;
    }
    store_->open();
}


task_store::events daemon::store_events()
{
    return {.on_open = [this] { on_opened(); },
            .on_wait = [this](const std::string &why) { refuse_gateways(why); },
            .on_refused = [this](const outcome &why) { refuse_start(why); },
            .on_elected = [this] { on_elected(); },
            .on_deposed = [this](const std::string &) { on_deposed(); },
            .on_replaced = [this](bool is_other) { gateways_->reload(is_other); },
            .on_steer = [this](steer_request wanted,
                               answer_fn answer) { engine_->steer(std::move(wanted), std::move(answer)); },
            .on_trouble = [this](const std::string &sentence) { gateways_->set_trouble(sentence); },
            .at_work = [this] { manager_.starting(); },
            .on_damaged = [this](const std::string &fault) { on_damaged(fault); }};
}


/// nginx says why it is not ready, instead of that rolloutd is down.
void daemon::refuse_gateways(const std::string &why)
{
    if (stopping_) {
        return;
    }
    if (!refusing_) {
        refusing_ = std::make_unique<refusing_listener>(loop_);
        try {
            refusing_->open(*config_);
        } catch (const std::exception &error) {
            refuse_start(outcome::transient(error.what()));
            return;
        }
    }
    refusing_->say(why);
}


void daemon::on_opened()
{
    refusing_.reset();
    make_parts();
    if (store_->was_replaced()) {
        gateways_->distrust_gateways();
    }
    load();
}


void daemon::load()
{
    gateways_->load([this](const outcome &loaded) {
        if (!loaded) {
            try_again_or_refuse(loaded, [this] { load(); });
        } else if (!stopping_) {
            if (store_->journal().is_shared()) { // gateways are served whoever carries out the tasks
                listen();
            }
            if (!stopping_) {
                store_->stand();
            }
        }
    });
}


void daemon::on_elected()
{
    if (!stopping_) {
        is_elected_ = true;
        start_engine();
    }
}


void daemon::on_deposed()
{
    is_elected_ = false;
    next_start_.reset();
    retention_->stop();
    store_->set_carries_out(false);
    engine_->stop([] {});
}


void daemon::on_damaged(const std::string &fault)
{
    log(log_level::error, "rolloutd stops, and does not start again by itself: " + fault);
    status_ = exit_permanent_error;
    stop();
}


/// A read that has failed may succeed next time, before rolloutd is ready.
void daemon::try_again_or_refuse(const outcome &why, std::function<void()> again)
{
    if (why.is == outcome::kind::permanent || ++failed_reads_ > most_failed_reads) {
        refuse_start(why);
    } else if (!stopping_) {
        log(log_level::error, "The journal could not be read and is read again: " + why.detail);
        next_start_ = time_.after(engine_retry_pause, std::move(again));
    }
}


void daemon::make_parts()
{
    journal &from = store_->journal();
    gateways_ = std::make_unique<gateway_server>(loop_, from);
    intake_ = std::make_unique<task_intake>(config_, from, time_);
    engine_ = std::make_unique<engine>(
        engine::surroundings{
            *intake_, from, store_->control_of(*gateways_, [this] { engine_->on_gateway_progress(); }), time_,
            [this](fetch_request request, done_fn done) { return fetch(loop_, std::move(request), std::move(done)); },
            [this](const std::string &name, const hook_settings &hook, std::string body, done_fn done) {
                return run_hook(http_, name, hook, std::move(body), std::move(done));
            }},
        config_, finder());
    engine_->on_lost = [this] { restart_engine(); };
    retention_ = std::make_unique<retention>(from, time_);
    retention_->use(rule());

    from.on_commit = [this](const journal_news &news) {
        metrics_.changed(news.rows);
        gateways_->follow(news);
        engine_->on_commit(news);
        intake_->on_commit(news);
    };
    from.on_attempt = [this](std::chrono::nanoseconds took, bool ok) { metrics_.committed(took, ok); };
    gateways_->on_submit = [this](submission wanted, answer_fn answer) {
        intake_->submit(std::move(wanted), std::move(answer));
    };
    gateways_->on_steer = [this](steer_request wanted, answer_fn answer) {
        if (engine_->state() == engine_state::running) {
            engine_->steer(std::move(wanted), std::move(answer));
        } else {
            store_->pass_on(std::move(wanted), std::move(answer));
        }
    };
    gateways_->metrics = [this] { return metrics(); };
    gateways_->find_series = [this](const std::string &task_id, gateway_server::series_fn done) {
        engine_->find_series(task_id, std::move(done));
    };
    gateways_->tasks_of = [this](const std::string &model_id, std::size_t most) {
        return engine_->tasks_of(model_id, most);
    };
    gateways_->on_suspect = [this](const std::string &upstream, const std::string &peer) {
        engine_->suspect(upstream, peer);
    };
    gateways_->losses_of = [this](const std::string &model_id) { return engine_->losses_of(model_id); };
}


/// A start that another attempt does not help has a status of its own.
void daemon::refuse_start(const outcome &why)
{
    if (stopping_) {
        return;
    }
    log(log_level::error, "rolloutd cannot start: " + why.detail);
    is_refused_ = true;
    status_ = why.is == outcome::kind::permanent ? exit_permanent_error : EXIT_FAILURE;
    stop();
}


void daemon::start_engine()
{
    engine_->start([this](const outcome &result) { on_started(result); });
}


/// After a lost write, what is in memory is out of date: it is read anew.
void daemon::restart_engine()
{
    store_->set_carries_out(false);
    engine_->stop([this] {
        if (!stopping_ && is_elected_) {
            next_start_ = time_.after(engine_restart_pause, [this] {
                if (engine_->state() == engine_state::absent) { // else it has been elected anew meanwhile
                    start_engine();
                }
            });
        }
    });
}


void daemon::on_started(const outcome &result)
{
    if (stopping_ || result.is == outcome::kind::canceled) {
        return;
    }
    if (result) {
        retention_->start();
        store_->set_carries_out(true);
    }
    if (!is_ready_) {
        if (result) {
            listen();
        } else {
            try_again_or_refuse(result, [this] { start_engine(); });
        }
        return;
    }
    if (!result) {
        log(log_level::error, "The tasks could not be read and wait; they are read again: " + result.detail);
        next_start_ = time_.after(engine_retry_pause, [this] { start_engine(); });
        return;
    }
    log(log_level::info, "rolloutd carries out tasks");
}


void daemon::listen()
{
    try {
        gateways_->listen(*config_);
    } catch (const std::exception &error) {
        refuse_start(outcome::transient(error.what()));
        return;
    }
    store_->check_integrity();
    is_ready_ = true;
    log(log_level::info, "rolloutd is ready",
        {{"socket", config_->listen.path}, {"journal", store_->journal().id()}});
    say_ready();
    if (std::exchange(read_again_, false)) {
        reload();
    }
}


std::string daemon::metrics() const
{
    rolloutd_metrics::moment now;
    now.waiting = intake_->waiting();
    auto of_engine = engine_->now();
    now.running = of_engine.running;
    now.working = of_engine.working;
    now.most_working = config_->limits.max_concurrent_rollouts;
    now.longest_wait = of_engine.longest_wait;
    now.deployed_models = of_engine.deployed_models;
    now.lost_models = of_engine.lost_models;
    now.backends_up = std::move(of_engine.backends_up);
    now.pending_unloads = std::move(of_engine.pending_unloads);
    now.servers = std::move(of_engine.servers);
    now.links = gateways_->links();
    now.revision = store_->journal().revision();
    now.cluster = store_->cluster();
    return metrics_.text(now);
}


retention_rule daemon::rule() const
{
    return {std::chrono::days(config_->journal.retain_days), config_->journal.max_tasks};
}


std::shared_ptr<backend> daemon::make_backend(const std::string &name, const backend_settings &from)
{
    if (from.servers.empty()) {
        return make_server(name, {from.url, "", from.repository, from.staging}, from);
    }
    group_settings group;
    group.min_servers = from.min_servers.of(from.servers.size());
    group.max_parallel_loads = from.max_parallel_loads;
    group.asks_first = from.type != "command";
    group.polls = from.type != "command" && from.control == "poll";
    for (const auto &server : from.servers) {
        group.members.push_back({server.peer, server.repository, make_server(name, server, from)});
    }
    return std::make_shared<group_backend>(std::move(group), time_, threads_of(loop_));
}


std::shared_ptr<backend> daemon::make_server(const std::string &name, const server_settings &server,
                                             const backend_settings &of)
{
    if (of.type == "command") {
        return std::make_shared<command_backend>(loop_, time_,
                                                 command_settings{name, of.command,
                                                                  std::chrono::seconds(of.timeout_s), server.staging,
                                                                  server.repository, server.peer, server.url});
    }
    triton_settings made_of;
    made_of.name = server.peer.empty() ? name : server.peer;
    made_of.url = server.url;
    made_of.repository = server.repository;
    made_of.staging = server.staging;
    made_of.polls = of.control == "poll";
    made_of.log = [name, peer = server.peer](const std::string &words) {
        log(log_level::info, words, {{"backend", name}, {"server", peer}});
    };
    return std::make_shared<triton_backend>(std::move(made_of), server_access{http_, time_, threads_of(loop_)});
}


std::shared_ptr<const daemon::backend_map> daemon::make_backends(const settings &config, const backend_map &known)
{
    auto all = std::make_shared<backend_map>();
    for (const auto &[name, backend_config] : config.backends) {
        const bool stays = known.contains(name) && is_same_backend(*config_, config, name);
        all->emplace(name, stays ? known.at(name) : with_failpoints(loop_, make_backend(name, backend_config)));
    }
    return all;
}


std::function<backend *(const std::string &)> daemon::finder() const
{
    return [all = backends_](const std::string &name) {
        const auto found = all->find(name);
        return found == all->end() ? nullptr : found->second.get();
    };
}


void daemon::reload()
{
    if (stopping_) {
        return;
    }
    if (reading_ || !is_ready_) {
        read_again_ = true; // the file may have changed since it was read
        return;
    }
    manager_.reloading();
    auto wanted = std::make_shared<settings>();
    auto faults = std::make_shared<std::vector<json_fault>>();
    auto findings = std::make_shared<staging_findings>();
    reading_ = run_on_thread(
        loop_,
        [path = path_, wanted, faults, findings](const stop_flag &) {
            *wanted = read_settings(path, *faults);
            if (faults->empty()) {
                *faults = check_store(*wanted);
            }
            if (faults->empty()) {
                *findings = check_staging(*wanted);
            }
            return outcome::ok();
        },
        [this, wanted, faults, findings](const outcome &result) {
            reading_.reset();
            if (!result) {
                faults->push_back({"", result.detail});
            }
            if (!stopping_) {
                faults->empty() ? apply(wanted) : refuse(*faults);
                for (const auto &warning : findings->warnings) {
                    log(log_level::warning, warning);
                }
                log_unreachable_backends(path_, findings->faults);
                say_ready();
            }
            if (std::exchange(read_again_, false)) {
                reload();
            }
        });
}


void daemon::refuse(const std::vector<json_fault> &faults)
{
    for (const auto &fault : faults) {
        log(log_level::error,
            "Invalid configuration: " + fault.pointer + (fault.pointer.empty() ? "" : ": ") + fault.detail,
            {{"file", path_}});
    }
    log(log_level::error, "The configuration is unchanged; fix the file and send SIGHUP again", {{"file", path_}});
}


void daemon::apply(const std::shared_ptr<settings> &wanted)
{
    for (const auto &pointer : keep_what_takes_a_restart(*config_, *wanted)) {
        log(log_level::warning, pointer + " takes effect after a restart of rolloutd; it is unchanged until then");
    }
    for (const auto &warning : wanted->warnings) {
        log(log_level::warning, warning);
    }
    if (wanted->limits.max_concurrent_rollouts + spare_threads > threads_) {
        log(log_level::warning, "/limits/max_concurrent_rollouts is more than rolloutd was started with threads for; "
                                "until a restart, copies of files may wait for each other");
    }
    for (const auto &[name, _] : config_->backends) {
        if (!wanted->backends.contains(name)) {
            warn_of_models_on(name);
        } else {
            warn_of_servers_gone(name, config_->backends.at(name), wanted->backends.at(name));
        }
    }
    const std::string changes = changes_between(*config_, *wanted);
    backends_ = make_backends(*wanted, *backends_);
    config_ = wanted;
    log(log_level::info, "The configuration was reloaded", {{"changed", changes}});
    gateways_->use(*config_);
    store_->use(*config_);
    intake_->use(config_);
    engine_->use(config_, finder());
    retention_->use(rule());
}


void daemon::warn_of_models_on(const std::string &name)
{
    const auto models = engine_->models_on(name);
    if (models.empty()) {
        return;
    }
    std::string names;
    for (std::size_t i = 0; i < std::min(models.size(), most_models_named); ++i) {
        names += (names.empty() ? "" : ", ") + models[i];
    }
    log(log_level::warning,
        "Backend \"" + name + "\" is no longer in the configuration, but " +
            format_count(models.size(), "model stands", "models stand") + " there: " + names +
            (models.size() > most_models_named ? ", …" : "") +
            ". They keep serving; their tasks fail until it is put back",
        {{"backend", name}});
}


void daemon::warn_of_servers_gone(const std::string &name, const backend_settings &before,
                                  const backend_settings &after) const
{
    const auto stay = server_peers(after);
    for (const auto &peer : server_peers(before)) {
        if (std::ranges::find(stay, peer) == stay.end()) {
            log(log_level::warning,
                "Server " + peer + " is no longer in the configuration of backend " + name +
                    ". What is loaded there is left as it is, and gets no requests through rollout_ready",
                {{"backend", name}, {"server", peer}});
        }
    }
}


/// Tests stop and start the engine, in builds that have failpoints.
void daemon::on_signal(int number)
{
    if (number == SIGHUP) {
        reload();
    } else if (has_failpoints && (number == SIGUSR1 || number == SIGUSR2)) {
        if (!is_ready_ || stopping_) {
            return;
        }
        if (number == SIGUSR1) {
            engine_->stop([] { log(log_level::info, "rolloutd carries out no tasks"); });
        } else if (engine_->state() == engine_state::absent) {
            start_engine();
        }
    } else {
        stop();
    }
}


void daemon::stop()
{
    if (std::exchange(stopping_, true)) {
        return;
    }
    if (!is_refused_) {
        manager_.stopping();
        log(log_level::info, "rolloutd stops; unfinished tasks continue at the next start");
    }
    refusing_.reset();
    if (!engine_) {
        wait_for_journal();
        return;
    }
    next_start_.reset();
    retention_->stop();
    engine_->stop([this] { resign(); });
}


void daemon::resign()
{
    store_->resign([this] { wait_for_journal(); });
}


void daemon::wait_for_journal()
{
    if (store_) {
        store_->stop();
    }
    if ((store_ && store_->busy()) || reading_) {
        ending_ = time_.after(5ms, [this] { wait_for_journal(); });
        return;
    }
    ending_.reset();
    if (gateways_) {
        gateways_->close();
    }
    http_.close();
    signals_.ignore();
    uv_stop(loop_);
}

} // namespace rollout
