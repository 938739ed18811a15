// Several questions to a server and waits between them, seen as one operation.
#pragma once

#include "worker/async/clock.hpp"
#include "worker/async/outcome.hpp"
#include "worker/async/thread_work.hpp"
#include "worker/net/http_client.hpp"

#include <chrono>
#include <functional>
#include <utility>

namespace rollout {

/// One thing is under way at a time; its callback begins the next or ends the whole. A cancel ends whatever is under way.
/// The members that hold it go with the operation, and with them their callbacks.
class steps : public operation {
  public:
    void cancel() override
    {
        if (!done_ || canceled_) {
            return;
        }
        canceled_ = true;
        if (busy_) {
            under_way_->cancel();
        } else {
            wait({}, [] {});
        }
    }

  protected:
    steps(http_client &http, clock &time, done_fn done) : http_(http), time_(time), done_(std::move(done)) {}

    void ask(http_request request, std::function<void(http_answer)> then)
    {
        busy_ = true;
        under_way_ = http_.send(std::move(request), [this, then = std::move(then)](http_answer answer) {
            busy_ = false;
            if (canceled_ || answer.canceled) {
                finish(outcome::canceled());
            } else {
                then(std::move(answer));
            }
        });
    }

    void wait(std::chrono::milliseconds time, std::function<void()> then)
    {
        pause_ = time_.after(time, [this, then = std::move(then)] {
            if (canceled_) {
                finish(outcome::canceled());
            } else {
                then();
            }
        });
    }

    /// Blocking work; a cancel counts even where it came too late to stop it.
    void on_thread(std::function<outcome(const stop_flag &)> work, std::function<void(outcome)> then)
    {
        busy_ = true;
        under_way_ = run_on_thread(http_.loop(), std::move(work), [this, then = std::move(then)](outcome ended) {
            busy_ = false;
            if (canceled_) {
                finish(outcome::canceled());
            } else {
                then(std::move(ended));
            }
        });
    }

    /// Blocking work whose outcome is that of the whole.
    void finish_on_thread(std::function<outcome(const stop_flag &)> work)
    {
        busy_ = true;
        under_way_ = run_on_thread(http_.loop(), std::move(work), [this](outcome ended) {
            busy_ = false;
            finish(std::move(ended));
        });
    }

    std::chrono::milliseconds now() const { return time_.now(); }

    /// Nothing of this object may be touched afterwards: the callback may destroy it.
    void finish(outcome ended)
    {
        const done_fn done = std::exchange(done_, nullptr);
        done(std::move(ended));
    }

  private:
    http_client &http_;
    clock &time_;
    operation_ptr under_way_;
    operation_ptr pause_;
    done_fn done_;
    bool busy_ = false; ///< `under_way_` has not ended
    bool canceled_ = false;
};

} // namespace rollout
