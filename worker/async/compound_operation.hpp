// An operation made of other operations.
#pragma once

#include "worker/async/clock.hpp"
#include "worker/async/completion.hpp"
#include "worker/async/outcome.hpp"

#include <chrono>
#include <functional>
#include <utility>

namespace rollout {

using start_fn = std::function<operation_ptr(done_fn)>;

/// One part, or one pause between two parts, is under way at a time; its callback starts the next or finishes the
/// whole. A cancel cancels the part, whose callback still runs, or ends the pause. Destroying this object destroys
/// what is under way and its callback.
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

    /// Starts a part with `begin(callback)`. `then` gets the callback's result, also after a cancel: see
    /// `is_canceled`.
    template <typename Result, typename Begin, typename Then>
    void start(const Begin &begin, Then then)
    {
        busy_ = true;
        part_ = begin([this, then = std::move(then)](Result result) mutable {
            busy_ = false;
            const auto next = std::move(then); // the next part's start destroys the part, and this function with it
            next(std::move(result));
        });
    }

    /// Calls `then` after that time; if the whole has been canceled by then, finishes it instead.
    void pause_for(std::chrono::milliseconds time, std::function<void()> then)
    {
        pause_ = time_.after(time, [this, then = std::move(then)]() mutable {
            if (canceled_) {
                finish(outcome::canceled());
            } else {
                const auto next = std::move(then); // which may start another pause
                next();
            }
        });
    }

    /// Ends the whole, from the loop. Nothing of this object may be used afterwards.
    void finish(outcome result) { done_(std::move(result)); }

    /// Ends the whole in the loop's next turn: for a constructor that has nothing to do.
    void finish_soon(outcome result)
    {
        pause_for({}, [this, result = std::move(result)] { finish(result); });
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
