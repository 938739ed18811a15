// An operation that is made of others.
#pragma once

#include "worker/async/clock.hpp"
#include "worker/async/completion.hpp"
#include "worker/async/outcome.hpp"

#include <chrono>
#include <functional>
#include <utility>

namespace rollout {

using start_fn = std::function<operation_ptr(done_fn)>;

/// One part, or one pause between two, is under way at a time; its callback begins the next or finishes the whole. A cancel
/// cancels the part, whose callback runs all the same, or ends the pause. What is under way goes with this object, and with
/// it its callback.
class compound_operation : public operation {
  public:
    void cancel() override
    {
        if (!done_ || canceled_) {
            return;
        }
        canceled_ = true;
        if (busy_) {
            part_->cancel();
        } else {
            pause_for({}, [] {});
        }
    }

  protected:
    compound_operation(clock &time, done_fn done) : time_(time), done_(std::move(done)) {}

    /// Starts a part by `begin(callback)`. `then` gets what its callback gets, also after a cancel: see `is_canceled`.
    template <typename Result, typename Begin, typename Then>
    void start(const Begin &begin, Then then)
    {
        busy_ = true;
        part_ = begin([this, then = std::move(then)](Result result) mutable {
            busy_ = false;
            const auto next = std::move(then); // the part, and this function with it, goes when the next one begins
            next(std::move(result));
        });
    }

    /// Calls `then` after that time, unless the whole is canceled meanwhile, which finishes it.
    void pause_for(std::chrono::milliseconds time, std::function<void()> then)
    {
        pause_ = time_.after(time, [this, then = std::move(then)]() mutable {
            if (canceled_) {
                finish(outcome::canceled());
            } else {
                const auto next = std::move(then); // which may begin another pause
                next();
            }
        });
    }

    /// Ends the whole, from the loop. Nothing of this object may be touched afterwards.
    void finish(outcome how) { done_(std::move(how)); }

    /// Ends the whole in the loop's next turn: for a constructor that finds nothing to do.
    void finish_soon(outcome how)
    {
        pause_for({}, [this, how = std::move(how)] { finish(how); });
    }

    bool is_canceled() const noexcept { return canceled_; }

    clock &time() const noexcept { return time_; }

  private:
    clock &time_;
    completion<outcome> done_;
    operation_ptr part_;
    operation_ptr pause_;
    bool busy_ = false; ///< `part_` has not ended
    bool canceled_ = false;
};

} // namespace rollout
