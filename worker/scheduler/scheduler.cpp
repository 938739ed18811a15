#include "worker/scheduler/scheduler.hpp"

#include "common/domain/identifiers.hpp"
#include "worker/base/format.hpp"
#include "worker/base/log.hpp"
#include "worker/journal/full_reads.hpp"
#include "worker/rollout/waiting_detail.hpp"
#include "worker/scheduler/journal_entry.hpp"

#include <algorithm>
#include <utility>

namespace rollout {

namespace {

using namespace std::chrono_literals;

constexpr auto reread_pause = 1000ms;

} // namespace


scheduler::scheduler(std::shared_ptr<const settings> config, task_intake &intake, journal &journal,
                     gateway_control &gateways, clock &time, std::function<backend *(const std::string &)> backend_of,
                     std::function<operation_ptr(fetch_request, done_fn)> fetch, hook_fn run_hook)
    : config_(std::move(config)), intake_(intake), journal_(journal), gateways_(gateways), time_(time),
      backend_of_(std::move(backend_of)), fetch_(std::move(fetch)), run_hook_(std::move(run_hook)),
      monitor_(models_.models(), time), unloads_(models_, journal, gateways, time, around_unloads()),
      permits_(time, around_permits()), series_(journal, time),
      turns_(queues_, journal, time,
             [this](const std::string &model_id, const std::string &before, bool was_begun) {
                 return turn_detail(model_id, before, was_begun);
             }),
      cancellation_(queues_, journal, time, [this] { permits_.hand_out(); }),
      follow_ups_(intake_, models_, journal,
                  [this](const std::string &model_id, const std::string &but_for) {
                      return has_other_task(model_id, but_for);
                  }),
      control_(journal, time, cancellation_, follow_ups_, around_control())
{
    queues_.on_first_changed = [this](const std::string &model_id) { update_turn(model_id); };
    queues_.on_moved = [this](const task_name &which) { turns_.update(which); };
    monitor_.on_peers_changed = [this](const std::string &model_id, const model_monitor::peers_change &now) {
        on_peers_changed(model_id, now);
    };
    monitor_.on_server_back = [this](const std::string &backend) { unloads_.on_server_back(backend); };
}


void scheduler::use(std::shared_ptr<const settings> config, std::function<backend *(const std::string &)> backend_of)
{
    const bool held_all = config_->limits.max_concurrent_rollouts == 0;
    config_ = std::move(config);
    backend_of_ = std::move(backend_of);
    if (!is_recovered_) {
        return;
    }
    monitor_.use(config_, backend_of_);
    unloads_.use(config_, backend_of_);
    permits_.hand_out(); // there may be more room
    if (held_all != (config_->limits.max_concurrent_rollouts == 0)) {
        for (const auto &waits : permits_.waiting()) {
            turns_.update_first(waits.model_id);
        }
    }
}


void scheduler::recover(done_fn done)
{
    recovered_ = std::move(done);
    const auto take_models = [this](std::vector<model> page) {
        for (auto &known : page) {
            models_.add(std::move(known));
        }
    };
    recovery_ = read_all_models(journal_, take_models, [this](const outcome &result) {
        if (!result) {
            on_recovered(result);
            return;
        }
        const auto take_tasks = [this](const std::vector<task_row> &page) { add_unfinished(page); };
        recovery_ = read_all_unfinished(journal_, take_tasks, [this](const outcome &read) { on_recovered(read); });
    });
}


/// What the documents say of a task's turn is checked here, while they are in memory. Only for the first task of a model
/// does it depend on what is not known yet.
void scheduler::add_unfinished(const std::vector<task_row> &page)
{
    for (const auto &row : page) {
        if (!is_task_id(row.task_id) || !is_model_id(row.model_id)) {
            log(log_level::error, "Skipping a journal entry with an invalid task_id or model_id",
                {{"task_id", row.task_id}, {"model_id", row.model_id}});
            continue;
        }
        queues_.push(row.model_id, intake_.queued(row));
        last_unfinished_ = row.sequence;
        if (queues_.of(row.model_id).size() > 1) {
            turns_.check_last(row);
        }
    }
}


void scheduler::on_recovered(const outcome &result)
{
    recovery_.reset();
    if (!result) {
        recovered_(result);
        return;
    }
    is_recovered_ = true;
    add_arrived();
    std::vector<std::string> models_with_tasks;
    for (const auto &[model_id, _] : queues_.all()) {
        models_with_tasks.push_back(model_id);
    }
    std::ranges::sort(models_with_tasks);
    for (const auto &model_id : models_with_tasks) {
        cancellation_.cancel_superseded(model_id);
    }
    if (waiting() != 0) {
        log(log_level::info, "The journal has " + format_count(waiting(), "unfinished task", "unfinished tasks"));
    }
    gateways_.reset_peers();
    monitor_.use(config_, backend_of_);
    unloads_.use(config_, backend_of_);
    recovery_ = time_.after(0ms, [this, models_with_tasks = std::move(models_with_tasks)] {
        permits_.hand_out();
        for (const auto &model_id : models_with_tasks) {
            turns_.update_first(model_id);
        }
    });
    recovered_(result);
}


/// What was accepted during the recovery may have been read by it, too: as it reads in the order of acceptance, it has
/// all up to the last one that it has read.
void scheduler::add_arrived()
{
    for (auto &[model_id, waits] : std::exchange(arrived_, {})) {
        if (waits.sequence > last_unfinished_) {
            turns_.update({model_id, waits.task_id});
            queues_.push(model_id, std::move(waits));
        }
    }
}


void scheduler::on_commit(const journal_news &news)
{
    if (is_lost_) {
        return;
    }
    for (const auto &row : news.rows) {
        if (is_new(row) && !is_final(row.status)) {
            add_new(row);
        }
    }
}


void scheduler::add_new(const task_row &row)
{
    if (!is_recovered_) {
        arrived_.push_back({row.model_id, intake_.queued(row)});
        return;
    }
    if (row.sequence <= last_unfinished_) {
        return; // the recovery has read it, before its news came
    }
    queues_.push(row.model_id, intake_.queued(row));
    if (stopping_) {
        return;
    }
    cancellation_.cancel_superseded(row.model_id);
    permits_.hand_out();
    turns_.check_last(row);
}


void scheduler::steer(steer_request wanted, answer_fn answer)
{
    control_.steer(std::move(wanted), std::move(answer));
}


std::vector<std::string> scheduler::tasks_of(const std::string &model_id, std::size_t most) const
{
    std::vector<std::string> ids;
    if (const auto at_work = runs_.find(model_id); at_work != runs_.end() && most != 0) {
        ids.push_back(at_work->second.task_id);
    }
    for (const auto &waits : queues_.of(model_id)) {
        if (ids.size() >= most) {
            break;
        }
        ids.push_back(waits.task_id);
    }
    return ids;
}


std::chrono::microseconds scheduler::longest_wait() const
{
    const std::int64_t now_us = time_.wall_us();
    return std::chrono::microseconds(std::max<std::int64_t>(0, now_us - queues_.oldest_us().value_or(now_us)));
}


// Callbacks of the parts.

permit_pool::surroundings scheduler::around_permits()
{
    permit_pool::surroundings around;
    around.most = [this] { return config_->limits.max_concurrent_rollouts; };
    around.taken_by_others = [this] { return unloads_.permits(); };
    around.begin = [this](const std::string &model_id) { begin(model_id); };
    around.offer_rest = [this] { unloads_.use_room(); };
    return around;
}


/// Tasks that wait for a permit come first.
unload_retry::surroundings scheduler::around_unloads()
{
    unload_retry::surroundings around;
    around.is_at_work = [this](const std::string &model_id) { return runs_.contains(model_id); };
    around.has_room = [this] { return permits_.has_rest(); };
    around.permit_released = [this] { permits_.hand_out_soon(); };
    around.release = [this](const std::string &model_id, std::uint64_t revision, done_fn done) {
        return monitor_.release(model_id, revision, std::move(done));
    };
    return around;
}


task_control::surroundings scheduler::around_control()
{
    task_control::surroundings around;
    around.position_of = [this](const task_name &which) { return position_of(which); };
    around.steer = [this](const std::string &model_id, task_verb verb, task_control::steered_fn done) {
        return runs_.at(model_id).run->steer(verb, std::move(done));
    };
    return around;
}


/// Keeps a model in the queue with its first task while it has no running task.
void scheduler::update_turn(const std::string &model_id)
{
    const auto &queue = queues_.of(model_id);
    if (queue.empty() || runs_.contains(model_id)) {
        permits_.dequeue(model_id);
    } else {
        permits_.enqueue({queue.front().is, queue.front().sequence, model_id});
    }
}


wait_state scheduler::turn_detail(const std::string &model_id, const std::string &before, bool was_begun) const
{
    turn_view view;
    view.was_begun = was_begun;
    view.behind = before;
    if (const auto at_work = runs_.find(model_id); at_work != runs_.end()) {
        const auto &[task_id, config, environment, run, pause] = at_work->second;
        view.running = task_id;
        view.running_waits_for = run ? run->task().waits_for : wait_reason::none;
    }
    view.none_may_run = config_->limits.max_concurrent_rollouts == 0;
    view.is_full = permits_.is_full();
    return wait_for_turn(view);
}


wait_state scheduler::turn_of_new(const std::string &model_id, const std::string &behind) const
{
    return turn_detail(model_id, behind, false);
}


std::string scheduler::running_deployment(const std::string &model_id) const
{
    const auto at_work = runs_.find(model_id);
    if (at_work == runs_.end() || !at_work->second.run) {
        return {};
    }
    const task &running = at_work->second.run->task();
    return running.kind != task_kind::deploy || is_final(running.status) ? "" : running.task_id;
}


bool scheduler::has_other_task(const std::string &model_id, const std::string &but_for) const
{
    const auto at_work = runs_.find(model_id);
    return !queues_.of(model_id).empty() || (at_work != runs_.end() && at_work->second.task_id != but_for);
}


task_position scheduler::position_of(const task_name &which) const
{
    if (const auto at_work = runs_.find(which.model_id);
        at_work != runs_.end() && at_work->second.task_id == which.task_id) {
        const auto &run = at_work->second.run;
        return !run                      ? task_position::starting
               : run->is_being_steered() ? task_position::steered
                                         : task_position::running;
    }
    return queues_.contains(which) ? task_position::queued : task_position::between;
}


// A running task.

void scheduler::begin(const std::string &model_id)
{
    running_task &begun = runs_[model_id];
    begun.task_id = queues_.pop(model_id).task_id;
    read(model_id, begun.task_id);
}


/// Reads a task whose turn has come: only the ids of waiting tasks are kept in memory.
void scheduler::read(const std::string &model_id, const std::string &task_id)
{
    journal_.find(task_id, [this, model_id, task_id](const outcome &result, const std::optional<task_row> &row) {
        if (stopping_ || is_lost_) {
            return;
        }
        if (result && row) {
            start_alone(model_id, *row);
        } else if (result) {
            on_ended(model_id);
        } else {
            log(log_level::error, "A task could not be read and is tried again: " + result.detail,
                {{"task_id", task_id}, {"model_id", model_id}});
            runs_.at(model_id).pause =
                time_.after(reread_pause, [this, model_id, task_id] { read(model_id, task_id); });
        }
    });
}


/// Starts the task once background work on the model has ended.
void scheduler::start_alone(const std::string &model_id, const task_row &row)
{
    const bool waits = unloads_.release(model_id, [this, model_id, row] {
        if (!stopping_ && !is_lost_) {
            start(model_id, row);
        }
    });
    if (!waits) {
        start(model_id, row);
    }
}


void scheduler::start(const std::string &model_id, const task_row &row)
{
    model &entry = models_.find_or_create(model_id);
    auto begun = read_entry(row);
    if (!begun) {
        begun = intake_.new_task(row.kind, row.task_id, model_id, {}, share(json_make_object()));
        begun->sequence = row.sequence;
        begun->revision = row.revision;
        begun->status = task_status::in_progress; // it cannot continue: it rolls back and ends
    }
    running_task &running = runs_.at(model_id);
    running.config = config_;
    running.environment = std::make_unique<run_environment>(environment_of(model_id, *running.config));
    running.run = std::make_unique<task_run>(*running.environment, std::move(*begun), entry,
                                             [this, model_id] { on_ended(model_id); });
    running.run->start();
}


run_environment scheduler::environment_of(const std::string &model_id, const settings &config)
{
    return {config,
            journal_,
            gateways_,
            time_,
            backend_of_,
            fetch_,
            [this] { return deployed_models(); },
            [this] { return models_.known([this](const std::string &id) { return runs_.contains(id); }); },
            [this](const std::string &id, const std::string &backend, const std::string &name) {
                return models_.holder_of(id, backend, name);
            },
            run_hook_,
            [this](const std::string &id, std::uint64_t revision, done_fn done) {
                return monitor_.release(id, revision, std::move(done));
            },
            [this, model_id] { turns_.update_first(model_id); },
            [this, model_id] { return !queues_.of(model_id).empty(); },
            permits_,
            series_};
}


/// Reports the change to the gateways at once, in the routes that they have. It becomes durable with the task's next
/// write, or by itself if no task of the model runs: what a task has changed must not become durable before its own
/// write.
void scheduler::on_peers_changed(const std::string &model_id, const model_monitor::peers_change &now)
{
    model *const known = models_.find(model_id);
    served_revision *const placed = known == nullptr ? nullptr : find_revision(*known, now.revision);
    if (placed == nullptr) {
        return;
    }
    const auto copy = std::ranges::find(placed->copies, now.server_model, &served_model::model);
    if (copy == placed->copies.end()) {
        return;
    }
    copy->peers = now.peers;
    copy->barred = now.barred;
    gateways_.publish_peers(model_id, now.revision, now.server_model, now.peers);
    if (!runs_.contains(model_id)) {
        journal_.save_model(*known, [model_id](const outcome &result, std::uint64_t) {
            if (!result) { // after a restart, the next poll finds it out
                log(log_level::warning,
                    "Which servers have a model could not be written to the journal: " + result.detail,
                    {{"model_id", model_id}});
            }
        });
    }
}


/// What is in memory is out of date: the lists of waiting tasks, the models, where a run was.
void scheduler::lose()
{
    if (stopping_ || std::exchange(is_lost_, true)) {
        return;
    }
    log(log_level::warning, "Another rolloutd has taken over the tasks; those that run here end");
    permits_.stop();
    turns_.stop();
    monitor_.stop([] {});
    unloads_.stop([] {});
    loss_ = time_.after(0ms, [this] {
        if (on_lost) {
            on_lost();
        }
    });
}


void scheduler::on_ended(const std::string &model_id)
{
    const auto &run = runs_.at(model_id).run;
    if (run && run->is_lost()) {
        lose();
    }
    runs_.erase(model_id);
    permits_.end(model_id);
    update_turn(model_id);
    turns_.update_first(model_id);
    models_.put_aside(model_id);
    unloads_.on_task_ended(model_id);
    if (stopping_) {
        tell_if_stopped();
        return;
    }
    permits_.hand_out();
}


void scheduler::stop(std::function<void()> stopped)
{
    stopping_ = true;
    stopped_ = std::move(stopped);
    recovery_.reset();
    permits_.stop();
    turns_.stop();
    control_.stop();
    std::vector<std::string> at_work;
    for (const auto &[model_id, _] : runs_) {
        at_work.push_back(model_id);
    }
    for (const auto &model_id : at_work) {
        if (auto &run = runs_.at(model_id).run) {
            run->stop([this, model_id] { on_ended(model_id); });
        } else {
            on_ended(model_id);
        }
    }
    const auto on_part_stopped = [this] {
        --parts_to_stop_;
        tell_if_stopped();
    };
    monitor_.stop(on_part_stopped);
    unloads_.stop(on_part_stopped);
}


void scheduler::tell_if_stopped()
{
    if (runs_.empty() && parts_to_stop_ == 0 && stopped_) {
        std::exchange(stopped_, nullptr)();
    }
}

} // namespace rollout
