// The permits of limits.max_concurrent_rollouts: there is room, or there is none until a test makes some.
#pragma once

#include "tests/unit/fakes/fake_clock.hpp"
#include "worker/rollout/work_permits.hpp"

#include <memory>
#include <set>
#include <string>
#include <utility>

class fake_permits final : public rollout::work_permits {
  public:
    explicit fake_permits(fake_clock &time) : time_(time) {}

    bool is_full = false;
    std::set<std::string> holders; ///< by model

    bool has_permit(const std::string &model_id) const override { return holders.contains(model_id); }

    rollout::operation_ptr acquire_permit(const std::string &model_id, rollout::done_fn done) override
    {
        auto waits = std::make_unique<wait>(*this, model_id, std::move(done));
        waiting_ = waits.get();
        if (!is_full || has_permit(model_id)) {
            waiting_->give();
        }
        return waits;
    }

    void release_permit(const std::string &model_id) override { holders.erase(model_id); }

    /// Lets the run that waits have its permit.
    void make_room()
    {
        is_full = false;
        if (waiting_ != nullptr) {
            waiting_->give();
        }
    }

  private:
    class wait final : public rollout::operation {
      public:
        wait(fake_permits &of, std::string model_id, rollout::done_fn done)
            : of_(of), model_id_(std::move(model_id)), done_(std::move(done))
        {
        }
        ~wait() override
        {
            if (of_.waiting_ == this) {
                of_.waiting_ = nullptr;
            }
        }
        void cancel() override { end(rollout::outcome::canceled()); }
        void give()
        {
            of_.holders.insert(model_id_);
            end(rollout::outcome::ok());
        }

      private:
        void end(const rollout::outcome &result)
        {
            end_ = of_.time_.after({}, [done = done_, result] { done(result); });
        }

        fake_permits &of_;
        std::string model_id_;
        rollout::done_fn done_;
        rollout::operation_ptr end_;
    };

    fake_clock &time_;
    wait *waiting_ = nullptr;
};
