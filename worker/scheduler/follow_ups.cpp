#include "worker/scheduler/follow_ups.hpp"

#include "common/domain/identifiers.hpp"
#include "worker/scheduler/refusal.hpp"

#include <optional>
#include <utility>

namespace rollout {

namespace {

/// Returns whether `known` is the task that the verb creates from `found`. A retry brings what `found` brought; a
/// rollback brings an earlier revision.
bool is_follow_up(const task &known, task_verb verb, const task &found)
{
    const bool same_target = known.rollback_to == found.rollback_to;
    return known.kind == found.kind && known.model_id == found.model_id && known.parent_id == found.task_id &&
           json_same(known.config.get(), found.config.get()) &&
           (verb == task_verb::retry ? same_target : known.rollback_to != 0 && !same_target);
}

} // namespace


follow_ups::follow_ups(task_intake &intake, const model_registry &models, journal &journal, is_busy_fn is_busy)
    : intake_(intake), models_(models), journal_(journal), is_busy_(std::move(is_busy))
{
}


void follow_ups::make(const steer_request &wanted, const task &found, answer_fn answer)
{
    if (wanted.new_task_id.empty()) {
        make_anew(wanted, found, answer);
        return;
    }
    being_made_.insert(wanted.new_task_id);
    // The acceptance may answer when this is gone; the client is answered all the same.
    auto forget = lifetime_.bound([this](const std::string &new_task_id) { being_made_.erase(new_task_id); });
    const answer_fn ends = [forget, new_task_id = wanted.new_task_id,
                            answer = std::move(answer)](const request_answer &result) mutable {
        forget(new_task_id);
        answer(result);
    };
    journal_.find(wanted.new_task_id, [this, wanted, found, ends](const outcome &result,
                                                                  const std::optional<task_row> &row) {
        if (!result) {
            ends(refused(500, "It could not be read whether the new task exists already, and nothing was changed: " +
                                  result.detail + ". Retry after fixing the cause."));
        } else if (!row) {
            make_anew(wanted, found, ends);
        } else if (const auto known = task_of(*row); known && is_follow_up(*known, wanted.verb, found)) {
            ends({&*row, false, {}});
        } else {
            ends(refused(409, "There is another task with the id \"" + wanted.new_task_id +
                                  "\"; give an Idempotency-Key that was not used yet."));
        }
    });
}


void follow_ups::make_anew(const steer_request &wanted, const task &found, const answer_fn &answer)
{
    if (wanted.verb == task_verb::retry) {
        retry(wanted, found, answer);
    } else {
        roll_back(wanted, found, answer);
    }
}


/// Creates a new task of the same kind for the same model.
task follow_ups::follow_up_of(const steer_request &wanted, const task &found) const
{
    task next = intake_.new_task(found.kind, wanted.new_task_id.empty() ? new_task_id() : wanted.new_task_id,
                                 found.model_id, found.task_id, found.config);
    next.created_by = wanted.by;
    return next;
}


void follow_ups::retry(const steer_request &wanted, const task &found, const answer_fn &answer)
{
    task again = follow_up_of(wanted, found);
    again.rollback_to = found.rollback_to;
    if (again.rollback_to == 0) {
        if (const auto faults = intake_.faults_of(again); !faults.empty()) {
            answer(refused(409, "rolloutd's configuration no longer fits the task: " + faults.front().pointer + " " +
                                    faults.front().detail + "; post a task with another config."));
            return;
        }
    }
    intake_.accept(std::move(again), answer);
}


void follow_ups::roll_back(const steer_request &wanted, const task &found, const answer_fn &answer)
{
    if (std::string objection = objection_to_rollback(found); !objection.empty()) {
        answer(refused(409, std::move(objection)));
        return;
    }
    task back = follow_up_of(wanted, found);
    back.rollback_to = former_revision(*models_.find(found.model_id))->revision;
    intake_.accept(std::move(back), answer);
}


/// Returns why that deployment cannot be rolled back now; empty if it can.
std::string follow_ups::objection_to_rollback(const task &found) const
{
    if (found.status != task_status::completed) {
        return task_phrase(found.task_id) + " is " + std::string(status_name(found.status)) +
               "; only a completed deployment can be rolled back.";
    }
    const model *const known = models_.find(found.model_id);
    if (known == nullptr || !known->blue) {
        return "Model " + found.model_id + " is not deployed; there is nothing to roll back.";
    }
    const auto serving = known->blue->revision;
    if (serving != found.model_revision) {
        return task_phrase(found.task_id) + " brought revision " + std::to_string(found.model_revision) +
               ", but revision " + std::to_string(serving) + " of model " + found.model_id +
               " serves now; roll back the deployment that brought that one.";
    }
    if (is_busy_(found.model_id, found.task_id)) {
        return "Another task of model " + found.model_id + " is under way or waits; cancel it, or let it end first.";
    }
    if (former_revision(*known) == nullptr) {
        return "No earlier revision of model " + found.model_id +
               " is kept, so there is none to go back to; a deployment with \"old\": \"archive\" or \"keep\" "
               "keeps the one before it.";
    }
    return {};
}

} // namespace rollout
