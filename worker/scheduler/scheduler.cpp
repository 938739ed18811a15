#include "worker/scheduler/scheduler.hpp"

#include "common/domain/limits.hpp"
#include "common/domain/names.hpp"
#include "worker/base/log.hpp"
#include "worker/base/words.hpp"
#include "worker/config/model_settings.hpp"
#include "worker/rollout/plan.hpp"

#include <algorithm>

namespace rollout {

namespace {

using namespace std::chrono_literals;

constexpr unsigned queue_retry_after_s = 5;
constexpr unsigned disk_retry_after_s = 1;
constexpr auto reread_pause = 1000ms;


/// As many faults as a problem may name; a pointer that is too long to repeat becomes that of what is around.
rejection unprocessable(std::vector<json_fault> faults)
{
    faults.resize(std::min(faults.size(), limits::problem_members));
    for (auto &fault : faults) {
        while (fault.pointer.size() > limits::pointer_bytes) {
            fault.pointer.resize(fault.pointer.rfind('/'));
        }
    }
    rejection refused = {422, faults.front().pointer + " " + faults.front().detail + ".", {}, 0};
    refused.errors = std::move(faults);
    return refused;
}

} // namespace


scheduler::scheduler(std::shared_ptr<const settings> config, journal &book, traffic &gateways, clock &time,
                     std::function<backend *(const std::string &)> backend_of,
                     std::function<operation_ptr(fetch_request, done_fn)> fetch, hook_fn run_hook)
    : config_(std::move(config)), book_(book), gateways_(gateways), time_(time), backend_of_(std::move(backend_of)),
      fetch_(std::move(fetch)), run_hook_(std::move(run_hook)), watch_(models_, time),
      unloads_(models_, book, gateways, time, around_unloads())
{
}


void scheduler::use(std::shared_ptr<const settings> config, std::function<backend *(const std::string &)> backend_of)
{
    const bool held_all = config_->limits.max_concurrent_rollouts == 0;
    config_ = std::move(config);
    backend_of_ = std::move(backend_of);
    watch_.use(config_, backend_of_);
    unloads_.use(config_, backend_of_);
    start_next(); // there may be more room
    if (held_all != (config_->limits.max_concurrent_rollouts == 0)) {
        for (const auto &waits : turns_) {
            say_turn_of_first(waits.model_id);
        }
    }
}


void scheduler::recover()
{
    for (auto &one : book_.models()) {
        const auto id = one.model_id;
        models_.emplace(id, std::move(one));
        put_aside(id);
    }
    auto unfinished = book_.unfinished();
    std::set<std::string> models_with_tasks;
    for (const auto &row : unfinished) {
        if (is_task_id(row.task_id) && is_model_id(row.model_id)) {
            enqueue(row.model_id, waiting(row));
            models_with_tasks.insert(row.model_id);
        } else {
            log(log_level::error, "A task of the journal has no usable names and is left aside",
                {{"task_id", row.task_id}, {"model_id", row.model_id}});
        }
    }
    for (const auto &model_id : models_with_tasks) {
        cancel_superseded(model_id);
    }
    if (waiting_ != 0) {
        log(log_level::info, "The journal has " + count_words(waiting_, "unfinished task", "unfinished tasks"));
    }
    watch_.use(config_, backend_of_);
    unloads_.use(config_, backend_of_);
    recovery_ = time_.after(0ms, [this, unfinished = std::move(unfinished)] {
        start_next();
        check_turns(unfinished);
    });
}


/// A task of the journal's.
scheduler::waiting_task scheduler::waiting(const task_row &row) const
{
    const auto read = task_of(row);
    if (!read) {
        return {row.sequence, row.task_id, 0, urgency_of(row.kind, row.status, 0)};
    }
    return waiting(*read).numbered(row.sequence);
}


scheduler::waiting_task scheduler::waiting(const task &of) const
{
    return {of.sequence, of.task_id, of.created_us, urgency_of(of.kind, of.status, of.rollback_to), supersedes(of)};
}


/// `supersede` of the task's own rollout settings, or else of its model's.
bool scheduler::supersedes(const task &made) const
{
    if (made.kind != task_kind::deploy || made.rollback_to != 0) {
        return false;
    }
    const json_t *given = json_object_get(json_object_get(made.config.get(), "rollout"), "supersede");
    return given != nullptr ? json_is_true(given) : rollout_of(*config_, made.model_id).supersede;
}


// New tasks.

/// Why the model of a deletion cannot be deleted now, as a sentence; empty where no deployment of it runs.
std::string scheduler::in_use_by(const submission &wanted) const
{
    const auto found = runs_.find(wanted.model_id);
    if (wanted.kind != task_kind::remove || found == runs_.end() || !found->second.run ||
        found->second.run->task().kind != task_kind::deploy || is_final(found->second.run->task().status)) {
        return {};
    }
    return "Model " + wanted.model_id + " is in use by deployment task " + found->second.run->task().task_id +
           ", which is running; cancel it or wait for its end.";
}


task scheduler::new_task(task_kind kind, std::string task_id, std::string model_id, std::string parent_id,
                         std::shared_ptr<const json_t> config) const
{
    task made;
    made.kind = kind;
    made.task_id = std::move(task_id);
    made.model_id = std::move(model_id);
    made.parent_id = std::move(parent_id);
    made.config = std::move(config);
    made.created_us = made.updated_us = time_.wall_us();
    return made;
}


void scheduler::submit(submission wanted, answer_fn answer)
{
    const std::string in_use = in_use_by(wanted);
    task made = new_task(wanted.kind, std::move(wanted.task_id), std::move(wanted.model_id),
                         std::move(wanted.parent_id), share(std::move(wanted.config)));
    if (!in_use.empty()) {
        made.status = task_status::refused;
        made.detail = in_use;
    }

    if (auto faults = plan_faults(made); !faults.empty()) {
        answer({nullptr, false, unprocessable(std::move(faults))});
        return;
    }
    accept(std::move(made), std::move(answer));
}


/// What the configuration has against the task.
std::vector<json_fault> scheduler::plan_faults(const task &of) const
{
    std::vector<json_fault> faults;
    if (of.kind == task_kind::deploy) {
        plan_deployment(*config_, of.model_id, 1, of.config.get(), faults);
    }
    return faults;
}


void scheduler::accept(task made, answer_fn answer)
{
    if (unwritten_ >= config_->limits.max_unwritten) {
        answer({nullptr,
                false,
                {429,
                 "There are " + std::to_string(unwritten_) +
                     " tasks waiting for the journal's disk, and max_unwritten allows no more; nothing was created. "
                     "Post again later.",
                 {},
                 disk_retry_after_s}});
        return;
    }
    ++unwritten_;
    if (!is_final(made.status)) {
        const auto queue = queues_.find(made.model_id);
        const wait_state words =
            waiting_words_of(made.model_id, queue == queues_.end() ? "" : queue->second.back().task_id, false);
        made.set_waiting(words);
        made.detail = words.sentence;
    }
    // With a full queue a task that exists already is still found: a client that asks again gets its answer.
    const bool full = waiting_ >= config_->limits.max_queue;
    if (!full) {
        ++waiting_; // what the journal is about to take counts
    }
    book_.create(
        made, full,
        [this, full, one = waiting(made), answer = std::move(answer)](const outcome &how, journal::creation what,
                                                                      const task_row &row) {
            --unwritten_;
            if (!full) {
                --waiting_;
            }
            if (!how) {
                log(log_level::error, "A task could not be written: " + how.detail,
                    {{"task_id", row.task_id}, {"model_id", row.model_id}});
                answer({nullptr,
                        false,
                        {500,
                         "The task could not be made durable: " + how.detail +
                             ". Post it again with the same task_id once the cause is mended.",
                         {},
                         0}});
                return;
            }
            switch (what) {
            case journal::creation::created:
                if (is_final(row.status)) {
                    answer({&row, true, {}});
                    return;
                }
                enqueue(row.model_id, one.numbered(row.sequence));
                answer({&row, true, {}});
                cancel_superseded(row.model_id);
                start_next();
                check_last_turn(row);
                return;
            case journal::creation::existed:
                answer({&row, false, {}});
                return;
            case journal::creation::conflict:
                answer({nullptr,
                        false,
                        {409,
                         "There is another task with the id \"" + row.task_id + "\"; give this one an id of its own.",
                         {},
                         0}});
                return;
            case journal::creation::absent:
                answer({nullptr,
                        false,
                        {429,
                         "There are " + std::to_string(config_->limits.max_queue) +
                             " tasks waiting, and max_queue allows no more; nothing was created. Post again later.",
                         {},
                         queue_retry_after_s}});
                return;
            }
        });
}


// The queues.

scheduler::urgency scheduler::urgency_of(task_kind kind, task_status status, std::uint64_t rollback_to) noexcept
{
    return status != task_status::pending ? urgency::begun
           : kind == task_kind::remove    ? urgency::deletion
           : rollback_to != 0             ? urgency::rollback
                                          : urgency::deployment;
}


scheduler::turn scheduler::turn_of(const std::string &model_id) const
{
    const waiting_task &first = queues_.at(model_id).front();
    return {first.is, first.sequence, model_id};
}


void scheduler::enqueue(const std::string &model_id, waiting_task one)
{
    auto &queue = queues_[model_id];
    waiting_since_.emplace(one.sequence, one.created_us);
    queue.push_back(std::move(one));
    ++waiting_;
    if (queue.size() == 1 && !runs_.contains(model_id)) {
        turns_.insert(turn_of(model_id));
    }
}


void scheduler::start_next()
{
    while (!stopping_ && !turns_.empty()) {
        const turn next = *turns_.begin();
        const bool is_free = !is_full();
        if (!is_free && next.is != urgency::begun) {
            return;
        }
        turns_.erase(turns_.begin());
        if (const auto run = runs_.find(next.model_id); run != runs_.end()) {
            grant_place(run->second);
        } else {
            begin_next_of(next.model_id, is_free);
        }
    }
    unloads_.use_room();
}


/// From the loop: who gives a place back is in the middle of something.
void scheduler::start_soon()
{
    if (!stopping_) {
        soon_ = time_.after(0ms, [this] { start_next(); });
    }
}


void scheduler::begin_next_of(const std::string &model_id, bool with_place)
{
    auto &queue = queues_.at(model_id);
    waiting_task first = std::move(queue.front());
    queue.pop_front();
    if (queue.empty()) {
        queues_.erase(model_id);
    } else {
        say_turn_of_first(model_id);
    }
    --waiting_;
    waiting_since_.erase(first.sequence);
    running_task &run = runs_[model_id];
    run.task = std::move(first);
    run.has_place = with_place;
    places_taken_ += with_place;
    read(model_id, run.task.task_id);
}


std::chrono::microseconds scheduler::longest_wait() const
{
    const std::int64_t since = waiting_since_.empty() ? time_.wall_us() : waiting_since_.begin()->second;
    return std::chrono::microseconds(std::max<std::int64_t>(0, time_.wall_us() - since));
}


/// Tasks that wait are not kept in memory, only their ids.
void scheduler::read(const std::string &model_id, const std::string &task_id)
{
    book_.find(task_id, [this, model_id, task_id](const outcome &how, const std::optional<task_row> &row) {
        if (stopping_) {
            return;
        }
        if (how && row) {
            start_alone(model_id, *row);
        } else if (how) {
            on_ended(model_id);
        } else {
            log(log_level::error, "A task could not be read and is tried again: " + how.detail,
                {{"task_id", task_id}, {"model_id", model_id}});
            runs_.at(model_id).pause =
                time_.after(reread_pause, [this, model_id, task_id] { read(model_id, task_id); });
        }
    });
}


/// Once nothing of the model is tried behind its tasks.
void scheduler::start_alone(const std::string &model_id, const task_row &row)
{
    const bool waits = unloads_.release(model_id, [this, model_id, row] {
        if (!stopping_) {
            start(model_id, row);
        }
    });
    if (!waits) {
        start(model_id, row);
    }
}


void scheduler::start(const std::string &model_id, const task_row &row)
{
    model &of = take_up(model_id);
    auto what = task_of(row);
    if (!what || what->task_id != row.task_id || what->model_id != model_id) {
        what = new_task(row.kind, row.task_id, model_id, {}, share(json_make_object()));
        what->sequence = row.sequence;
        what->revision = row.revision;
        what->status = task_status::in_progress; // it cannot go on, takes the way back and ends
    }
    running_task &at = runs_.at(model_id);
    at.config = config_;
    at.environment = std::make_unique<run_environment>(
        run_environment{*at.config, book_, gateways_, time_, backend_of_, fetch_,
                        [this] { return deployed_models(); }, [this] { return known_models(); },
                        [this](const std::string &id, const std::string &backend, const std::string &name) {
                            return holder_of(id, backend, name);
                        },
                        run_hook_,
                        [this](const std::string &id, std::uint64_t revision, done_fn done) {
                            return watch_.let_go(id, revision, std::move(done));
                        },
                        [this, model_id] { say_turn_of_first(model_id); }, *this});
    at.run =
        std::make_unique<task_run>(*at.environment, std::move(*what), of, [this, model_id] { on_ended(model_id); });
    at.run->start();
}


void scheduler::on_ended(const std::string &model_id)
{
    give_place_back(model_id);
    runs_.erase(model_id);
    release(model_id);
    if (stopping_) {
        tell_if_stopped();
        return;
    }
    start_next();
}


void scheduler::release(const std::string &model_id)
{
    if (queues_.contains(model_id)) {
        turns_.insert(turn_of(model_id));
        say_turn_of_first(model_id);
    }
    put_aside(model_id);
    unloads_.look(model_id);
}


void scheduler::stop(std::function<void()> stopped)
{
    stopping_ = true;
    stopped_ = std::move(stopped);
    recovery_.reset();
    soon_.reset();
    turns_soon_.reset();
    refuse_words_that_wait();
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
    watch_.stop([this] {
        watches_ = false;
        tell_if_stopped();
    });
    unloads_.stop([this] {
        retries_unloads_ = false;
        tell_if_stopped();
    });
}


void scheduler::tell_if_stopped()
{
    if (runs_.empty() && !watches_ && !retries_unloads_ && stopped_) {
        std::exchange(stopped_, nullptr)();
    }
}

} // namespace rollout
