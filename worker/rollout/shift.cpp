#include "worker/rollout/shift.hpp"

#include "worker/rollout/shared_work.hpp"

namespace rollout {

namespace {

/// The weights of this rollout. Without a blue there is nothing to hold back for.
std::vector<shift_step> weights_of(const task_run &run)
{
    return run.of.blue ? run.plan.rollout.steps : std::vector<shift_step>{{100, 0}};
}


/// Puts green at a weight: with the next write it is the route.
void set_weight(task_run &run, unsigned weight)
{
    run.of.weight = weight;
    run.what.traffic_weight = weight;
    run.what.detail = "Revision " + std::to_string(run.what.model_revision) + " has " + std::to_string(weight) +
                      " % of the traffic of model " + run.of.model_id + ".";
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

    ~shifting() override { *alive_ = false; }

    void cancel() override
    {
        canceled_ = true;
        if (part_) {
            part_->cancel();
            if (holding_) {
                part_ = ended(run_, outcome::canceled(), [this](const outcome &how) { end(how); });
            }
        }
    }

  private:
    void follow()
    {
        holding_ = false;
        part_ = follow_route(run_, [this](const outcome &how) {
            if (!how) {
                end(how);
            } else if (canceled_) {
                end(outcome::canceled());
            } else {
                hold();
            }
        });
    }

    void hold()
    {
        holding_ = true;
        part_ = run_.environment.time.after(std::chrono::seconds(weights_[at_].hold_s), [this] { next(); });
    }

    void next()
    {
        if (canceled_) {
            end(outcome::canceled());
            return;
        }
        if (at_ + 1 == weights_.size()) {
            end(outcome::ok());
            return;
        }
        ++at_;
        set_weight(run_, weights_[at_].weight);
        part_.reset();
        run_.save([this, alive = alive_] {
            if (!*alive) {
                return;
            }
            if (canceled_) {
                end(outcome::canceled());
            } else {
                follow();
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
    operation_ptr part_;
    bool holding_ = false;
    bool canceled_ = false;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

} // namespace


void enter_shift(task_run &run)
{
    if (run.of.incoming && run.of.incoming->revision == run.what.model_revision) {
        run.of.green = std::move(run.of.incoming);
        run.of.incoming.reset();
        run.of.weight = 0;
    }
    if (run.of.weight == 0) {
        set_weight(run, weights_of(run).front().weight);
    } else {
        set_weight(run, run.of.weight); // as before a crash
    }
}


operation_ptr shift_traffic(task_run &run, done_fn done)
{
    return std::make_unique<shifting>(run, std::move(done));
}

} // namespace rollout
