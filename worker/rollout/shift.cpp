#include "worker/rollout/shift.hpp"

#include "worker/async/combine.hpp"
#include "worker/rollout/hold.hpp"
#include "worker/rollout/plan_report.hpp"
#include "worker/rollout/revision_work.hpp"

namespace rollout {

namespace {

/// Of this rollout. What served before is proven, and goes straight to 100.
std::vector<shift_step> weights_of(const task_run &run)
{
    return weights_of(run.plan, run.of.blue.has_value() && run.what.rollback_to == 0);
}


/// Puts green at a weight: with the next write it is the route.
void set_weight(task_run &run, unsigned weight)
{
    run.of.weight = weight;
    run.what.traffic_weight = weight;
    run.what.detail = run.share_words() + ".";
}


/// The next weight: a client's word for the hold before it has done its work, and goes with the same write.
void go_on_to(task_run &run, unsigned weight)
{
    run.what.promote_asked = false;
    set_weight(run, weight);
}


/// Goes through the weights from the one at which the journal has the model, which `enter_shift` or a run before a crash
/// has written.
class shifting final : public operation {
  public:
    shifting(task_run &run, done_fn done) : run_(run), weights_(weights_of(run)), done_(std::move(done))
    {
        while (at_ + 1 < weights_.size() && weights_[at_].weight < run.of.weight) {
            ++at_;
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
        part_ = follow_route(run_, [this](const outcome &how) {
            if (!how) {
                end(how);
            } else if (canceled_) {
                end(outcome::canceled());
            } else {
                hold_here();
            }
        });
    }

    void hold_here()
    {
        const bool has_blue = run_.of.blue.has_value() && run_.what.rollback_to == 0;
        const bool is_last = at_ + 1 == weights_.size();
        const bool manual = is_last && has_blue && run_.plan.rollout.promote == "manual";
        const auto &step = weights_[at_];
        // What is not held is not judged either; a person who is waited for decides.
        if (!has_blue || (step.hold_s == 0 && !manual && !run_.what.paused)) {
            part_ = ended(run_, outcome::ok(), [this](const outcome &how) { next(how); });
            return;
        }
        const bool judged = step.weight != 0 && (step.hold_s != 0 || manual);
        const hold_request request = {
            std::chrono::seconds(step.hold_s), step.weight, run_.what.model_revision, run_.of.blue->revision, judged,
            judged && step.hold_s != 0,        manual};
        part_ = hold(run_, request, [this](const outcome &how) { next(how); });
    }

    void next(const outcome &how)
    {
        if (!how || canceled_) {
            end(how ? outcome::canceled() : how);
            return;
        }
        if (!how.detail.empty()) {
            details_ += (details_.empty() ? "" : "; ") + how.detail;
        }
        if (at_ + 1 == weights_.size()) {
            end(outcome::ok(details_));
            return;
        }
        ++at_;
        go_on_to(run_, weights_[at_].weight);
        run_.say(log_level::info, run_.what.detail);
        part_ = write(run_, [this](const outcome &written) {
            if (written) {
                follow();
            } else {
                end(written);
            }
        });
    }

    void end(const outcome &how)
    {
        const auto done = std::exchange(done_, nullptr); // which may destroy this
        if (done) {
            done(how);
        }
    }

    task_run &run_;
    std::vector<shift_step> weights_;
    done_fn done_;
    std::size_t at_ = 0;
    std::string details_; ///< what the gate saw at each weight
    operation_ptr part_;
    bool canceled_ = false;
};

} // namespace


void enter_shift(task_run &run)
{
    if (run.of.incoming && run.of.incoming->revision == run.what.model_revision) {
        run.of.green = std::move(run.of.incoming);
        run.of.incoming.reset();
        set_weight(run, weights_of(run).front().weight);
    } else {
        set_weight(run, run.of.weight); // as before a crash
    }
}


operation_ptr shift_traffic(task_run &run, done_fn done)
{
    return std::make_unique<shifting>(run, std::move(done));
}


operation_ptr promote_and_watch(task_run &run, done_fn done)
{
    if (run.of.former == 0) {
        return follow_route(run, std::move(done));
    }
    const hold_request request = {std::chrono::seconds(run.plan.rollout.watch_s),
                                  100,
                                  run.what.model_revision,
                                  run.of.former,
                                  true,
                                  false,
                                  false};
    return in_order(run.environment.time,
                    {[&run](done_fn then) { return follow_route(run, std::move(then)); },
                     [&run, request](done_fn then) { return hold(run, request, std::move(then)); }},
                    std::move(done));
}

} // namespace rollout
