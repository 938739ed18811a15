#include "worker/scheduler/queue_cancellation.hpp"

#include "worker/base/log.hpp"
#include "worker/scheduler/journal_entry.hpp"
#include "worker/scheduler/refusal.hpp"

#include <optional>
#include <utility>

namespace rollout {

namespace {

void mark_canceled(task &waits, std::string why, std::int64_t now_us)
{
    waits.status = task_status::canceled;
    waits.set_waiting({});
    waits.detail = std::move(why);
    waits.updated_us = now_us;
}

} // namespace


queue_cancellation::queue_cancellation(task_queues &queues, journal &journal, clock &time,
                                       std::function<void()> put_back)
    : queues_(queues), journal_(journal), time_(time), put_back_(std::move(put_back))
{
}


void queue_cancellation::cancel(task waits, answer_fn answer)
{
    const waiting_task was = queues_.take({waits.model_id, waits.task_id});
    mark_canceled(waits, "The task was canceled by a client before it began; nothing was changed.", time_.wall_us());
    canceling_[waits.task_id].push_back(std::move(answer));
    journal_.save(waits, nullptr, [this, waits, was](const outcome &result, std::uint64_t revision) {
        if (result.is_lost()) {
            this->answer(waits.task_id, refused_as_lost());
            return;
        }
        if (!result) {
            log(log_level::error, "A canceled task could not be written and keeps waiting: " + result.detail,
                {{"task_id", waits.task_id}, {"model_id", waits.model_id}});
            put_back(waits.model_id, was, result);
            return;
        }
        log(log_level::info, "A task is canceled before its turn",
            {{"task_id", waits.task_id}, {"model_id", waits.model_id}, {"kind", kind_name(waits.kind)}});
        const task_row row = row_of(waits, revision);
        this->answer(waits.task_id, {&row, false, {}});
    });
}


void queue_cancellation::await(const std::string &task_id, answer_fn answer)
{
    canceling_.at(task_id).push_back(std::move(answer));
}


void queue_cancellation::cancel_superseded(const std::string &model_id)
{
    const auto [newer, all] = queues_.superseded(model_id);
    for (const auto &older : all) {
        cancel_superseded(model_id, older, newer);
    }
}


void queue_cancellation::cancel_superseded(const std::string &model_id, const waiting_task &older,
                                           const std::string &newer)
{
    queues_.take({model_id, older.task_id});
    canceling_[older.task_id];
    journal_.find(
        older.task_id, [this, model_id, older, newer](const outcome &result, const std::optional<task_row> &row) {
            auto found = result && row ? read_entry(*row) : std::nullopt;
            if (found) {
                write_superseded(std::move(*found), older, newer);
            } else {
                keep_superseded(model_id, older,
                                result ? outcome::permanent("the journal's entry of it cannot be read") : result);
            }
        });
}


void queue_cancellation::write_superseded(task older, const waiting_task &was, const std::string &newer)
{
    mark_canceled(older,
                  "The task was canceled before it began, and nothing was changed: deployment task " + newer +
                      " of the model came after it and supersedes it.",
                  time_.wall_us());
    journal_.save(older, nullptr, [this, older, was, newer](const outcome &result, std::uint64_t revision) {
        if (result.is_lost()) {
            answer(older.task_id, refused_as_lost());
            return;
        }
        if (!result) {
            keep_superseded(older.model_id, was, result);
            return;
        }
        log(log_level::info, "A task is superseded before its turn",
            {{"task_id", older.task_id}, {"model_id", older.model_id}, {"superseded_by", newer}});
        const task_row row = row_of(older, revision);
        answer(older.task_id, {&row, false, {}});
    });
}


void queue_cancellation::keep_superseded(const std::string &model_id, const waiting_task &was, const outcome &failure)
{
    log(log_level::error, "A superseded task could not be canceled and keeps waiting: " + failure.detail,
        {{"task_id", was.task_id}, {"model_id", model_id}});
    put_back(model_id, was, failure);
}


void queue_cancellation::put_back(const std::string &model_id, const waiting_task &was, const outcome &failure)
{
    queues_.put_back(model_id, was);
    answer(was.task_id, refused(500, "The task could not be canceled and keeps waiting: " + failure.detail +
                                         ". Retry after fixing the cause."));
    put_back_();
}


void queue_cancellation::answer(const std::string &task_id, const request_answer &result)
{
    const auto asked = canceling_.extract(task_id);
    for (const auto &answer : asked.mapped()) {
        answer(result);
    }
}

} // namespace rollout
