// Work that a fake is asked for: it has its effect one call later and answers another call later, so that a process can die
// between the two.
#pragma once

#include "tests/unit/fakes/fake_clock.hpp"
#include "worker/async/outcome.hpp"

class fake_work final : public rollout::operation {
  public:
    using effect_fn = std::function<rollout::outcome()>;

    /// With `held` it neither happens nor ends until it is canceled.
    fake_work(fake_clock &time, bool held, effect_fn effect, rollout::done_fn done)
        : time_(time), effect_(std::move(effect)), done_(std::move(done))
    {
        if (!held) {
            wait_ = time_.after({}, [this] { answer(effect_()); });
        }
    }

    void cancel() override
    {
        if (!answered_) {
            answer(rollout::outcome::canceled());
        }
    }

  private:
    void answer(const rollout::outcome &how)
    {
        answered_ = true;
        wait_ = time_.after({}, [done = done_, how] { done(how); });
    }

    fake_clock &time_;
    effect_fn effect_;
    rollout::done_fn done_;
    rollout::operation_ptr wait_;
    bool answered_ = false;
};
