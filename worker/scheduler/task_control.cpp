#include "worker/scheduler/task_control.hpp"

#include "worker/base/log.hpp"
#include "worker/scheduler/journal_entry.hpp"
#include "worker/scheduler/refusal.hpp"

#include <algorithm>
#include <chrono>
#include <optional>
#include <string_view>

namespace rollout {

namespace {

using namespace std::chrono_literals;

constexpr auto between_pause = 20ms;
constexpr unsigned most_tries = 100;

constexpr std::string_view stopping_words = "rolloutd is stopping, and nothing was changed; try again.";


request_answer refused_for_the_stop()
{
    return refused(503, std::string(stopping_words), 1);
}


std::string name_of(task_verb verb)
{
    return std::string(verb_name(verb));
}

} // namespace


task_control::task_control(journal &journal, clock &time, queue_cancellation &cancellation, follow_ups &followers,
                           surroundings around)
    : journal_(journal), time_(time), cancellation_(cancellation), follow_ups_(followers), around_(std::move(around))
{
}


void task_control::steer(steer_request wanted, answer_fn answer)
{
    steer({std::move(wanted), std::move(answer), 0});
}


void task_control::steer(verb_call call)
{
    const std::string task_id = call.request.task_id;
    journal_.find(task_id, [this, call = std::move(call)](const outcome &result, const std::optional<task_row> &row) {
        const auto &[request, answer, _] = call;
        if (!result) {
            answer(refused(500, "The task could not be read, and nothing was changed: " + result.detail +
                                    ". Retry after fixing the cause."));
            return;
        }
        if (!row || row->kind != request.kind) {
            answer(refused(404, std::string("There is no ") +
                                    (request.kind == task_kind::deploy ? "deployment" : "deletion") + " task \"" +
                                    request.task_id + "\"."));
            return;
        }
        if (request.only_at && std::ranges::find(*request.only_at, row->revision) == request.only_at->end()) {
            answer(refused(412, std::string(task_has_changed)));
            return;
        }
        const auto found = read_entry(*row);
        if (!found) {
            answer(refused(500, "The journal's entry of the task cannot be read; nothing was changed."));
        } else if (stopped_) {
            answer(refused_for_the_stop());
        } else if (is_final(found->status)) {
            steer_final(call, *found);
        } else {
            steer_open(call, *found);
        }
    });
}


void task_control::stop()
{
    stopped_ = true;
    for (const auto &[_, pause] : std::exchange(pauses_, {})) {
        pause.first.answer(refused_for_the_stop());
    }
}


// Unfinished tasks.

void task_control::steer_open(const verb_call &call, const task &found)
{
    const auto &[request, answer, _] = call;
    const std::string state(status_name(found.status));
    if (request.verb == task_verb::retry) {
        answer(refused(409, task_phrase(request.task_id) + " is " + state +
                                "; only a task that has ended can be retried."));
        return;
    }
    if (request.verb == task_verb::rollback) {
        answer(refused(409, task_phrase(request.task_id) + " is " + state +
                                "; only a completed deployment can be rolled back. Cancel it."));
        return;
    }

    if (cancellation_.is_canceling(request.task_id)) {
        if (request.verb == task_verb::cancel) {
            cancellation_.await(request.task_id, answer);
        } else {
            answer(refused(409, task_phrase(request.task_id) + " is being canceled."));
        }
        return;
    }
    switch (around_.position_of({found.model_id, request.task_id})) {
    case task_position::between:
    case task_position::starting:
    case task_position::steered:
        steer_later(call);
        return;
    case task_position::queued:
        steer_queued(call, found);
        return;
    case task_position::running:
        steer_running(call, found);
        return;
    }
}


void task_control::steer_later(const verb_call &call)
{
    if (call.tries >= most_tries) {
        call.answer(refused(
            503, task_phrase(call.request.task_id) + " is between two states, and nothing was changed; try again.",
            1));
        return;
    }
    const auto number = ++last_pause_;
    auto &[_, pause] = pauses_.try_emplace(number, call, nullptr).first->second;
    pause = time_.after(between_pause, [this, number] {
        const auto held = pauses_.extract(number); // which owns this function
        verb_call again = held.mapped().first;
        ++again.tries;
        steer(std::move(again));
    });
}


void task_control::steer_queued(const verb_call &call, const task &found)
{
    const auto &[request, answer, _] = call;
    if (request.verb == task_verb::cancel) {
        cancellation_.cancel(found, answer);
    } else {
        answer(refused(409, task_phrase(request.task_id) + " waits for its turn; " + name_of(request.verb) +
                                " is for a deployment that runs."));
    }
}


void task_control::steer_running(const verb_call &call, const task &found)
{
    const auto on_durable = [call](const outcome &result, const task_row &row) {
        const auto &[request, answer, _] = call;
        if (result.is_lost()) {
            answer(refused_as_lost());
            return;
        }
        if (!result) {
            answer(refused(500, "The " + name_of(request.verb) + " of task \"" + request.task_id +
                                    "\" could not be made durable, and the task continues without it: " +
                                    result.detail + ". Retry after fixing the cause."));
            return;
        }
        log(log_level::info, "A client steers a task",
            {{"task_id", request.task_id}, {"verb", name_of(request.verb)}});
        answer({&row, false, {}});
    };
    const std::string objection = around_.steer(found.model_id, call.request.verb, on_durable);
    if (!objection.empty()) {
        call.answer(refused(409, objection));
    }
}


// Finished tasks.

void task_control::steer_final(const verb_call &call, const task &found)
{
    const auto &[request, answer, _] = call;
    switch (request.verb) {
    case task_verb::retry:
    case task_verb::rollback:
        if (follow_ups_.is_being_made(request)) {
            steer_later(call);
        } else {
            follow_ups_.make(request, found, answer);
        }
        return;
    case task_verb::cancel:
    case task_verb::promote:
    case task_verb::pause:
    case task_verb::resume:
        answer(refused(409, task_phrase(request.task_id) + " is over: it is " +
                                std::string(status_name(found.status)) + ", and there is nothing to " +
                                name_of(request.verb) + "."));
        return;
    }
}

} // namespace rollout
