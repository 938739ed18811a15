// What becomes of a client's word to a task. The journal says in which state the task is, the queues and runs say where.
#include "common/domain/names.hpp"
#include "worker/base/log.hpp"
#include "worker/scheduler/scheduler.hpp"

#include <algorithm>
#include <iterator>

namespace rollout {

namespace {

using namespace std::chrono_literals;

/// For a task that the journal has on its way from one place to the next: it is looked at again until it has arrived.
constexpr auto between_pause = 20ms;
constexpr unsigned most_tries = 100;

constexpr std::string_view stopping_words = "rolloutd is stopping; ask again when it is back.";


void refuse(const answer_fn &answer, int status, std::string why, unsigned retry_after_s = 0)
{
    answer({nullptr, false, {status, std::move(why), {}, retry_after_s}});
}


request_answer not_canceled(const outcome &how)
{
    return {nullptr,
            false,
            {500,
             "The task could not be canceled and waits on: " + how.detail + ". Ask again once the cause is mended.",
             {},
             0}};
}


std::string quoted(const std::string &task_id)
{
    return "Task \"" + task_id + "\"";
}


/// Is it what that word to `found` makes? A retry brings what `found` brought; going back brings an earlier revision.
bool is_follow_up(const task &made, steering verb, const task &found)
{
    const bool same_target = made.rollback_to == found.rollback_to;
    return made.kind == found.kind && made.model_id == found.model_id && made.parent_id == found.task_id &&
           json_same(made.config.get(), found.config.get()) &&
           (verb == steering::retry ? same_target : made.rollback_to != 0 && !same_target);
}

} // namespace


void scheduler::steer(steer_request wanted, answer_fn answer)
{
    steer({std::move(wanted), std::move(answer), 0});
}


void scheduler::steer(steer_call call)
{
    const std::string task_id = call.task_id;
    book_.find(task_id, [this, call = std::move(call)](const outcome &how, const std::optional<task_row> &row) {
        if (!how) {
            refuse(call.answer, 500,
                   "The task could not be read, and nothing was changed: " + how.detail +
                       ". Ask again once the cause is mended.");
            return;
        }
        if (!row || row->kind != call.kind) {
            refuse(call.answer, 404,
                   std::string("There is no ") + (call.kind == task_kind::deploy ? "deployment" : "deletion") +
                       " task \"" + call.task_id + "\".");
            return;
        }
        const auto found = task_of(*row);
        if (!found) {
            refuse(call.answer, 500, "The journal's entry of the task cannot be read; nothing was changed.");
        } else if (stopping_) {
            refuse(call.answer, 503, std::string(stopping_words), 1);
        } else if (is_final(found->status)) {
            steer_final(call, *found);
        } else {
            steer_open(call, *found);
        }
    });
}


// Tasks that are not over.

void scheduler::steer_open(const steer_call &call, const task &found)
{
    const std::string state(status_name(found.status));
    if (call.verb == steering::retry) {
        refuse(call.answer, 409,
               quoted(call.task_id) + " is " + state + "; only one that is over can be tried again.");
        return;
    }
    if (call.verb == steering::rollback) {
        refuse(call.answer, 409,
               quoted(call.task_id) + " is " + state +
                   "; only a completed deployment can be rolled back. Cancel it.");
        return;
    }

    if (const auto asked = canceling_.find(call.task_id); asked != canceling_.end()) {
        if (call.verb == steering::cancel) {
            asked->second.push_back(call.answer);
        } else {
            refuse(call.answer, 409, quoted(call.task_id) + " is being canceled.");
        }
        return;
    }
    if (const auto at = runs_.find(found.model_id); at != runs_.end() && at->second.task.task_id == call.task_id) {
        if (at->second.run) {
            steer_run(call, *at->second.run);
        } else {
            steer_again(call); // it is being read, to begin
        }
        return;
    }
    const auto queue = queues_.find(found.model_id);
    if (queue == queues_.end() ||
        std::ranges::none_of(queue->second, [&](const waiting_task &one) { return one.task_id == call.task_id; })) {
        steer_again(call); // just accepted, or just over
    } else if (call.verb == steering::cancel) {
        cancel_waiting(call, found);
    } else {
        refuse(call.answer, 409,
               quoted(call.task_id) + " waits for its turn; " + std::string(steering_name(call.verb)) +
                   " is for a deployment that runs.");
    }
}


void scheduler::steer_again(const steer_call &call)
{
    if (call.tries >= most_tries) {
        refuse(call.answer, 503, quoted(call.task_id) + " is between two states, and nothing was changed; ask again.",
               1);
        return;
    }
    const auto number = ++last_pause_;
    auto &[_, pause] = steer_pauses_.try_emplace(number, call, nullptr).first->second;
    pause = time_.after(between_pause, [this, number] {
        const auto held = steer_pauses_.extract(number); // and with it this function
        steer_call again = held.mapped().first;
        ++again.tries;
        steer(std::move(again));
    });
}


void scheduler::refuse_words_that_wait()
{
    for (const auto &[_, waits] : std::exchange(steer_pauses_, {})) {
        refuse(waits.first.answer, 503, std::string(stopping_words), 1);
    }
}


void scheduler::steer_run(const steer_call &call, task_run &run)
{
    if (run.is_being_steered()) {
        steer_again(call); // a word before this one is on its way to the journal
        return;
    }
    const std::string why = run.steer(call.verb, [call](const outcome &how, const task_row &row) {
        if (!how) {
            refuse(call.answer, 500,
                   "The " + std::string(steering_name(call.verb)) + " of task \"" + call.task_id +
                       "\" could not be made durable, and it goes on without: " + how.detail +
                       ". Ask again once the cause is mended.");
            return;
        }
        log(log_level::info, "A client steers a task",
            {{"task_id", call.task_id}, {"verb", std::string(steering_name(call.verb))}});
        call.answer({&row, false, {}});
    });
    if (!why.empty()) {
        refuse(call.answer, 409, why);
    }
}


/// Off its queue at once, so that it cannot begin any more; back where it was if the journal does not take it.
void scheduler::cancel_waiting(const steer_call &call, task found)
{
    const waiting_task was = take_from_queue(found.model_id, call.task_id);
    found.status = task_status::canceled;
    found.set_waiting({});
    found.detail = "The task was canceled by a client before its turn came; nothing of it was begun.";
    found.updated_us = time_.wall_us();
    canceling_[call.task_id].push_back(call.answer);
    book_.save(found, nullptr, [this, found, was](const outcome &how, std::uint64_t revision) {
        if (!how) {
            log(log_level::error, "A canceled task could not be written and waits on: " + how.detail,
                {{"task_id", found.task_id}, {"model_id", found.model_id}});
            put_back(found.model_id, was);
            answer_canceling(found.task_id, not_canceled(how));
            start_next();
            return;
        }
        log(log_level::info, "A task is canceled before its turn",
            {{"task_id", found.task_id}, {"model_id", found.model_id}, {"kind", kind_name(found.kind)}});
        const task_row row = row_of(found, revision);
        answer_canceling(found.task_id, {&row, false, {}});
    });
}


void scheduler::answer_canceling(const std::string &task_id, const request_answer &how)
{
    const auto asked = canceling_.extract(task_id);
    for (const auto &answer : asked.mapped()) {
        answer(how);
    }
}


/// The deployments of a model that wait before the last one that supersedes them.
void scheduler::cancel_superseded(const std::string &model_id)
{
    const auto known = queues_.find(model_id);
    if (known == queues_.end()) {
        return;
    }
    const auto &queue = known->second;
    const auto newer = std::find_if(queue.rbegin(), queue.rend(), [](const auto &one) { return one.supersedes; });
    if (newer == queue.rend()) {
        return;
    }
    const waiting_task last = *newer;
    std::vector<waiting_task> older;
    std::copy_if(queue.begin(), queue.end(), std::back_inserter(older), [&last](const waiting_task &one) {
        return one.is == urgency::deployment && one.sequence < last.sequence;
    });
    for (const auto &one : older) {
        cancel_superseded(model_id, one, last.task_id);
    }
}


/// As a client's cancel of a task that waits; without the journal it waits on.
void scheduler::cancel_superseded(const std::string &model_id, const waiting_task &older, const std::string &newer)
{
    take_from_queue(model_id, older.task_id);
    canceling_[older.task_id];
    const auto waits_on = [this, model_id, older](const outcome &how) {
        log(log_level::error, "A superseded task could not be canceled and waits on: " + how.detail,
            {{"task_id", older.task_id}, {"model_id", model_id}});
        put_back(model_id, older);
        answer_canceling(older.task_id, not_canceled(how));
        start_next();
    };
    book_.find(older.task_id, [this, model_id, older, newer, waits_on](const outcome &how,
                                                                       const std::optional<task_row> &row) {
        auto found = how && row ? task_of(*row) : std::nullopt;
        if (!found) {
            waits_on(how ? outcome::permanent("the journal's entry of it cannot be read") : how);
            return;
        }
        found->status = task_status::canceled;
        found->set_waiting({});
        found->detail = "The task was canceled before its turn came, and nothing of it was begun: deployment task " +
                        newer + " of the model came after it and supersedes it.";
        found->updated_us = time_.wall_us();
        book_.save(*found, nullptr, [this, found, newer, waits_on](const outcome &saved, std::uint64_t revision) {
            if (!saved) {
                waits_on(saved);
                return;
            }
            log(log_level::info, "A task is superseded before its turn",
                {{"task_id", found->task_id}, {"model_id", found->model_id}, {"superseded_by", newer}});
            const task_row written = row_of(*found, revision);
            answer_canceling(found->task_id, {&written, false, {}});
        });
    });
}


/// One that is there.
scheduler::waiting_task scheduler::take_from_queue(const std::string &model_id, const std::string &task_id)
{
    const auto known = queues_.find(model_id);
    auto &queue = known->second;
    const bool rests = turns_.erase(turn_of(model_id)) != 0;
    const auto at = std::ranges::find(queue, task_id, &waiting_task::task_id);
    waiting_task taken = std::move(*at);
    if (const auto behind = queue.erase(at); behind != queue.end()) {
        say_turn({model_id, behind->task_id});
    }
    --waiting_;
    waiting_since_.erase(taken.sequence);
    if (queue.empty()) {
        queues_.erase(known);
    } else if (rests) {
        turns_.insert(turn_of(model_id));
    }
    return taken;
}


void scheduler::put_back(const std::string &model_id, waiting_task one)
{
    auto &queue = queues_[model_id];
    if (!queue.empty()) {
        turns_.erase(turn_of(model_id));
    }
    waiting_since_.emplace(one.sequence, one.created_us);
    auto at =
        queue.insert(std::ranges::lower_bound(queue, one.sequence, {}, &waiting_task::sequence), std::move(one));
    say_turn({model_id, at->task_id});
    if (++at != queue.end()) {
        say_turn({model_id, at->task_id});
    }
    ++waiting_;
    if (!runs_.contains(model_id)) {
        turns_.insert(turn_of(model_id));
    }
}


// Tasks that are over.

void scheduler::steer_final(const steer_call &call, const task &found)
{
    switch (call.verb) {
    case steering::retry:
    case steering::rollback:
        follow_up(call, found);
        return;
    case steering::cancel:
    case steering::promote:
    case steering::pause:
    case steering::resume:
        refuse(call.answer, 409,
               quoted(call.task_id) + " is over: it is " + std::string(status_name(found.status)) +
                   ", and there is nothing to " + std::string(steering_name(call.verb)) + ".");
        return;
    }
}


/// A client that has chosen the new task's id may ask again: it gets what it has made then, whatever the model's state is by
/// now.
void scheduler::follow_up(steer_call call, const task &found)
{
    if (call.new_task_id.empty()) {
        make_follow_up(call, found);
        return;
    }
    if (!following_up_.insert(call.new_task_id).second) {
        steer_again(call); // it is being made
        return;
    }
    call.answer = [this, id = call.new_task_id, answer = std::move(call.answer)](const request_answer &how) {
        following_up_.erase(id);
        answer(how);
    };
    book_.find(call.new_task_id, [this, call, found](const outcome &how, const std::optional<task_row> &row) {
        if (!how) {
            refuse(call.answer, 500,
                   "Whether there is the new task already could not be read, and nothing was changed: " + how.detail +
                       ". Ask again once the cause is mended.");
        } else if (!row) {
            make_follow_up(call, found);
        } else if (const auto there = task_of(*row); there && is_follow_up(*there, call.verb, found)) {
            call.answer({&*row, false, {}});
        } else {
            refuse(call.answer, 409,
                   "There is another task with the id \"" + call.new_task_id +
                       "\"; give an Idempotency-Key that was not used yet.");
        }
    });
}


void scheduler::make_follow_up(const steer_call &call, const task &found)
{
    if (call.verb == steering::retry) {
        retry(call, found);
    } else {
        roll_back(call, found);
    }
}


/// A new task of the same kind for the same model.
task scheduler::follow_up_of(const steer_call &call, const task &found) const
{
    return new_task(found.kind, call.new_task_id.empty() ? new_task_id() : call.new_task_id, found.model_id,
                    found.task_id, found.config);
}


void scheduler::retry(const steer_call &call, const task &found)
{
    task made = follow_up_of(call, found);
    made.rollback_to = found.rollback_to;
    if (made.rollback_to == 0) {
        if (const auto faults = plan_faults(made); !faults.empty()) {
            refuse(call.answer, 409,
                   "rolloutd's configuration does not fit the task any more: " + faults.front().pointer + " " +
                       faults.front().detail + "; post a task with another config.");
            return;
        }
    }
    accept(std::move(made), call.answer);
}


void scheduler::roll_back(const steer_call &call, const task &found)
{
    if (found.status != task_status::completed) {
        refuse(call.answer, 409,
               quoted(call.task_id) + " is " + std::string(status_name(found.status)) +
                   "; only a completed deployment can be rolled back.");
        return;
    }
    const auto known = models_.find(found.model_id);
    if (known == models_.end() || !known->second.blue) {
        refuse(call.answer, 409, "Model " + found.model_id + " is not deployed; there is nothing to roll back.");
        return;
    }
    const model &of = known->second;
    const auto serving = of.blue->revision;
    if (serving != found.model_revision) {
        refuse(call.answer, 409,
               quoted(call.task_id) + " brought revision " + std::to_string(found.model_revision) +
                   ", but revision " + std::to_string(serving) + " of model " + found.model_id +
                   " serves now; roll back the deployment that brought that one.");
        return;
    }
    const auto run = runs_.find(found.model_id);
    if (queues_.contains(found.model_id) || (run != runs_.end() && run->second.task.task_id != call.task_id)) {
        refuse(call.answer, 409,
               "Another task of model " + found.model_id + " is under way or waits; cancel it, or let it end first.");
        return;
    }

    const placed_revision *before = former_revision(of);
    if (before == nullptr) {
        refuse(call.answer, 409,
               "No earlier revision of model " + found.model_id +
                   " is kept, so there is none to go back to; a deployment with \"old\": \"archive\" or \"keep\" "
                   "keeps the one before it.");
        return;
    }
    task made = follow_up_of(call, found);
    made.rollback_to = before->revision;
    accept(std::move(made), call.answer);
}

} // namespace rollout
