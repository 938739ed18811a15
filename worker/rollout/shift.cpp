#include "worker/rollout/shift.hpp"

#include "worker/async/combine.hpp"
#include "worker/async/completion.hpp"
#include "worker/rollout/hold.hpp"
#include "worker/rollout/hold_detail.hpp"
#include "worker/rollout/plan_report.hpp"
#include "worker/rollout/revision_work.hpp"
#include "worker/rollout/task_log.hpp"

namespace rollout {

namespace {

/// Returns the weights of this rollout. A revision that has served before is proven and goes straight to 100.
std::vector<shift_step> weights_of(const run_context &run)
{
    return weights_of(run.plan, run.model.blue.has_value() && run.task.rollback_to == 0);
}


/// Sets green's weight: the route changes with the next write.
void set_weight(run_context &run, unsigned weight)
{
    run.model.weight = weight;
    run.task.traffic_weight = weight;
    run.task.detail = format_share(run.task) + ".";
}


/// Moves on to the next weight: a client's promote of the previous hold is consumed, with the same write.
void go_on_to(run_context &run, unsigned weight)
{
    run.task.promote_asked = false;
    set_weight(run, weight);
}


/// Goes through the weights from the one that the journal has for the model, which was written by `enter_shift` or by
/// a run before a crash.
class shifting final : public operation {
  public:
    shifting(run_context &run, done_fn done) : run_(run), weights_(weights_of(run)), done_(std::move(done))
    {
        while (current_ + 1 < weights_.size() && weights_[current_].weight < run.model.weight) {
            ++current_;
        }
        follow();
    }

    void cancel() override
    {
        canceled_ = true;
        if (part_) {
            part_->cancel();
        }
    }

  private:
    void follow()
    {
        part_ = follow_route(run_, gateway_control::awaited::reachable, [this](const outcome &result) {
            if (!result) {
                end(result);
            } else if (canceled_) {
                end(outcome::canceled());
            } else {
                hold_here();
            }
        });
    }

    void hold_here()
    {
        const bool has_blue = run_.model.blue.has_value() && run_.task.rollback_to == 0;
        const bool is_last = current_ + 1 == weights_.size();
        const bool manual = is_last && has_blue && run_.plan.rollout.promote == "manual";
        const auto &step = weights_[current_];
        // A weight that is not held is not judged either; if a person is waited for, that person decides.
        if (!has_blue || (step.hold_s == 0 && !manual && !run_.task.paused)) {
            part_ = ended(run_, outcome::ok(), [this](const outcome &result) { next(result); });
            return;
        }
        const bool judged = step.weight != 0 && (step.hold_s != 0 || manual);
        const hold_request request = {.time = std::chrono::seconds(step.hold_s),
                                      .weight = step.weight,
                                      .green = run_.task.model_revision,
                                      .blue = run_.model.blue->revision,
                                      .judged = judged,
                                      .needs_traffic = judged && step.hold_s != 0,
                                      .until_promoted = manual};
        part_ = hold(run_, request, [this](const outcome &result) { next(result); });
    }

    void next(const outcome &result)
    {
        if (!result || canceled_) {
            end(result ? outcome::canceled() : result);
            return;
        }
        if (!result.detail.empty()) {
            details_ += (details_.empty() ? "" : "; ") + result.detail;
        }
        if (current_ + 1 == weights_.size()) {
            end(outcome::ok(details_));
            return;
        }
        ++current_;
        go_on_to(run_, weights_[current_].weight);
        log_task(run_.task, log_level::info, run_.task.detail);
        part_ = write(run_, [this](const outcome &written) {
            if (written) {
                follow();
            } else {
                end(written);
            }
        });
    }

    void end(const outcome &result) { done_(result); }

    run_context &run_;
    std::vector<shift_step> weights_;
    completion<outcome> done_;
    std::size_t current_ = 0;
    std::string details_; ///< what the gate saw at each weight
    operation_ptr part_;
    bool canceled_ = false;
};

} // namespace


void enter_shift(run_context &run)
{
    if (is_ours(run, run.model.incoming)) {
        run.model.green = std::move(run.model.incoming);
        run.model.incoming.reset();
        set_weight(run, weights_of(run).front().weight);
    } else {
        set_weight(run, run.model.weight); // the same as before a crash
    }
}


operation_ptr shift_traffic(run_context &run, done_fn done)
{
    return std::make_unique<shifting>(run, std::move(done));
}


operation_ptr promote_and_watch(run_context &run, done_fn done)
{
    run.environment.series.mark(run.task.task_id, mark_kind::promoted,
                                "Revision " + std::to_string(run.task.model_revision) + " serves all traffic.");
    const start_fn follow = [&run](done_fn then) {
        return follow_route(
            run, gateway_control::awaited::reachable, [&run, then = std::move(then)](const outcome &result) {
                const auto &gateways = run.environment.gateways;
                then(result ? outcome::ok(gateways.routing_before(run.model.route_revision)) : result);
            });
    };
    if (run.model.former == 0) {
        return follow(std::move(done));
    }
    const hold_request request = {.time = std::chrono::seconds(run.plan.rollout.watch_s),
                                  .weight = 100,
                                  .green = run.task.model_revision,
                                  .blue = run.model.former,
                                  .judged = true,
                                  .needs_traffic = false,
                                  .until_promoted = false};
    return in_order(run.environment.time,
                    {follow, [&run, request](done_fn then) { return hold(run, request, std::move(then)); }},
                    std::move(done));
}

} // namespace rollout
