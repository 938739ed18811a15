#include "worker/scheduler/task_intake.hpp"

#include "common/domain/limits.hpp"
#include "worker/base/log.hpp"
#include "worker/config/model_overrides.hpp"
#include "worker/rollout/plan.hpp"
#include "worker/rollout/waiting_detail.hpp"
#include "worker/scheduler/journal_entry.hpp"
#include "worker/scheduler/refusal.hpp"

#include <algorithm>
#include <optional>
#include <utility>

namespace rollout {

namespace {

constexpr unsigned queue_retry_after_s = 5;
constexpr unsigned disk_retry_after_s = 1;

/// Lists as many faults as a problem may have; a pointer that is too long to repeat is replaced by that of its
/// parent.
request_answer unprocessable(std::vector<json_fault> faults)
{
    faults.resize(std::min(faults.size(), limits::problem_members));
    for (auto &fault : faults) {
        while (fault.pointer.size() > limits::pointer_bytes) {
            fault.pointer.resize(fault.pointer.rfind('/'));
        }
    }
    auto answer = refused(422, faults.front().pointer + " " + faults.front().detail + ".");
    answer.refused.errors = std::move(faults);
    return answer;
}

} // namespace


task_intake::task_intake(std::shared_ptr<const settings> config, journal &journal, clock &time)
    : config_(std::move(config)), journal_(journal), time_(time)
{
}


void task_intake::use(std::shared_ptr<const settings> config)
{
    config_ = std::move(config);
}


void task_intake::submit(submission wanted, answer_fn answer)
{
    const std::string in_use = in_use_by(wanted);
    task accepted = new_task(wanted.kind, std::move(wanted.task_id), std::move(wanted.model_id),
                             std::move(wanted.parent_id), share(std::move(wanted.config)));
    accepted.created_by = std::move(wanted.by);
    if (!in_use.empty()) {
        accepted.status = task_status::refused;
        accepted.detail = in_use;
    }

    if (auto faults = faults_of(accepted); !faults.empty()) {
        refuse(accepted, std::move(faults), std::move(answer));
        return;
    }
    accept(std::move(accepted), std::move(answer));
}


/// Refuses what does not fit the configuration, unless the task exists: it may have been accepted under an earlier one.
void task_intake::refuse(const task &wanted, std::vector<json_fault> faults, answer_fn answer)
{
    journal_.find(wanted.task_id, [this, wanted = row_of(wanted, 0), faults = std::move(faults),
                                   answer = std::move(answer)](const outcome &, const std::optional<task_row> &row) {
        if (row) {
            on_created(same_request(*row, wanted) ? journal::creation::existed : journal::creation::conflict, *row,
                       answer);
        } else {
            answer(unprocessable(faults));
        }
    });
}


/// Returns why the model of a deletion cannot be deleted now; empty if no deployment of it runs, or no engine does: then
/// the deletion waits behind the deployment.
std::string task_intake::in_use_by(const submission &wanted) const
{
    if (wanted.kind != task_kind::remove || engine_ == nullptr) {
        return {};
    }
    const std::string deployment = engine_->running_deployment(wanted.model_id);
    return deployment.empty() ? ""
                              : "Model " + wanted.model_id + " is in use by deployment task " + deployment +
                                    ", which is running; cancel it or wait for its end.";
}


task task_intake::new_task(task_kind kind, std::string task_id, std::string model_id, std::string parent_id,
                           std::shared_ptr<const json_t> config) const
{
    task wanted;
    wanted.kind = kind;
    wanted.task_id = std::move(task_id);
    wanted.model_id = std::move(model_id);
    wanted.parent_id = std::move(parent_id);
    wanted.config = std::move(config);
    wanted.created_us = wanted.updated_us = time_.wall_us();
    return wanted;
}


std::vector<json_fault> task_intake::faults_of(const task &wanted) const
{
    std::vector<json_fault> faults;
    if (wanted.kind == task_kind::deploy) {
        plan_deployment(*config_, wanted.model_id, 1, wanted.config.get(), faults);
    }
    return faults;
}


void task_intake::accept(task wanted, answer_fn answer)
{
    if (unwritten_ >= config_->limits.max_unwritten) {
        answer(refused(429,
                       "There are " + std::to_string(unwritten_) +
                           " tasks waiting for the journal's disk, and max_unwritten allows no more; nothing was "
                           "created. Try again later.",
                       disk_retry_after_s));
        return;
    }
    ++unwritten_;
    if (!is_final(wanted.status)) {
        const wait_state words = turn_of(wanted.model_id);
        wanted.set_waiting(words);
        wanted.detail = words.sentence;
    }
    // If the queue is full, a task that exists already is still found: a client that repeats its request gets its
    // answer.
    const bool full = waiting() >= config_->limits.max_queue;
    const std::string queued_for = full || is_final(wanted.status) ? "" : wanted.model_id;
    if (!queued_for.empty()) {
        begin_arrival(queued_for, wanted.task_id);
    }
    journal_.create(wanted, full,
                    [this, queued_for, waits = queued(wanted), answer = std::move(answer)](
                        const outcome &result, journal::creation creation, const task_row &row) {
                        --unwritten_;
                        if (!queued_for.empty()) {
                            const bool created = result && creation == journal::creation::created;
                            created ? await_news(queued_for, waits, row) : end_arrival(queued_for);
                        }
                        if (result) {
                            on_created(creation, row, answer);
                            return;
                        }
                        if (result.is_lost()) {
                            answer(refused_as_lost());
                            return;
                        }
                        log(log_level::error, "A task could not be written: " + result.detail,
                            {{"task_id", row.task_id}, {"model_id", row.model_id}});
                        answer(refused(500, "The task could not be made durable: " + result.detail +
                                                ". Retry with the same task_id after fixing the cause."));
                    });
}


std::size_t task_intake::waiting() const
{
    return (engine_ == nullptr ? journal_.count_unfinished() : engine_->waiting()) + arriving_;
}


/// Says what a new task of the model waits for. It will be behind those that are on their way: they are written in the
/// order in which they come.
wait_state task_intake::turn_of(const std::string &model_id) const
{
    if (engine_ == nullptr) {
        return wait_for_engine();
    }
    const auto arriving = arriving_of_.find(model_id);
    return engine_->turn_of_new(model_id, arriving == arriving_of_.end() ? engine_->last_waiting(model_id)
                                                                         : arriving->second.last);
}


void task_intake::begin_arrival(const std::string &model_id, const std::string &task_id)
{
    ++arriving_;
    arrivals &of_model = arriving_of_[model_id];
    ++of_model.count;
    of_model.last = task_id;
}


void task_intake::end_arrival(const std::string &model_id)
{
    --arriving_;
    const auto of_model = arriving_of_.find(model_id);
    if (--of_model->second.count == 0) {
        arriving_of_.erase(of_model);
    }
}


/// The task is in the journal, but in no queue before the news of it.
void task_intake::await_news(const std::string &model_id, const waiting_task &wanted, const task_row &row)
{
    const bool is_known = row.sequence <= known_up_to_;
    if (is_known || !accepted_.try_emplace(row.sequence, accepted{model_id, wanted.numbered(row.sequence)}).second) {
        end_arrival(model_id);
    }
}


void task_intake::on_commit(const journal_news &news)
{
    const bool is_anew = news.before == news.now; // all of it has been read anew, perhaps of an earlier revision
    const auto first_unknown = is_anew ? accepted_.end() : accepted_.upper_bound(news.now);
    for (auto known = accepted_.begin(); known != first_unknown; known = accepted_.erase(known)) {
        end_arrival(known->second.model_id);
    }
    known_up_to_ = news.now;
}


void task_intake::on_created(journal::creation result, const task_row &row, const answer_fn &answer)
{
    switch (result) {
    case journal::creation::created:
        answer({&row, true, {}});
        return;
    case journal::creation::existed:
        answer({&row, false, {}});
        return;
    case journal::creation::conflict:
        answer(refused(409,
                       "There is another task with the id \"" + row.task_id + "\"; give this one an id of its own."));
        return;
    case journal::creation::absent:
        answer(refused(429,
                       "There are " + std::to_string(config_->limits.max_queue) +
                           " tasks waiting, and max_queue allows no more; nothing was created. Try again later.",
                       queue_retry_after_s));
        return;
    }
}


waiting_task task_intake::queued(const task_row &unfinished) const
{
    if (const auto known = accepted_.find(unfinished.sequence);
        known != accepted_.end() && known->second.waits.task_id == unfinished.task_id) {
        return known->second.waits;
    }
    const auto read = read_entry(unfinished);
    return read ? queued(*read).numbered(unfinished.sequence)
                : waiting_task{unfinished.sequence, unfinished.task_id, 0,
                               urgency_of(unfinished.kind, unfinished.status, 0)};
}


waiting_task task_intake::queued(const task &from) const
{
    return {from.sequence, from.task_id, from.created_us, urgency_of(from.kind, from.status, from.rollback_to),
            supersedes(from)};
}


/// Reads `supersede` from the task's own rollout settings, or else from its model's.
bool task_intake::supersedes(const task &wanted) const
{
    if (wanted.kind != task_kind::deploy || wanted.rollback_to != 0) {
        return false;
    }
    const json_t *given = json_object_get(json_object_get(wanted.config.get(), "rollout"), "supersede");
    return given != nullptr ? json_is_true(given) : rollout_of(*config_, wanted.model_id).supersede;
}

} // namespace rollout
