#include "worker/async/combine.hpp"

#include <algorithm>
#include <utility>

namespace rollout {

namespace {

using namespace std::chrono_literals;

/// What both have in common: the part under way, and an end that comes once and from the loop.
class combined : public operation {
  public:
    combined(clock &time, done_fn done) : time_(time), done_(std::move(done)) {}

    void cancel() override
    {
        canceled_ = true;
        if (part_) {
            part_->cancel();
        } else {
            end_soon(outcome::canceled());
        }
    }

  protected:
    void end(const outcome &how)
    {
        const auto done = std::exchange(done_, nullptr); // which may destroy this
        if (done) {
            done(how);
        }
    }

    void end_soon(outcome how)
    {
        pause_ = time_.after(0ms, [this, how = std::move(how)] { end(how); });
    }

    clock &time_;
    operation_ptr part_; ///< null between two
    operation_ptr pause_;
    bool canceled_ = false;

  private:
    done_fn done_;
};


class sequence final : public combined {
  public:
    sequence(clock &time, std::vector<start_fn> parts, bool goes_on, done_fn done)
        : combined(time, std::move(done)), parts_(std::move(parts)), goes_on_(goes_on)
    {
        if (parts_.empty()) {
            end_soon(outcome::ok());
        } else {
            start_next();
        }
    }

  private:
    void start_next()
    {
        part_ = parts_[next_++]([this](const outcome &how) {
            if (!how && (!goes_on_ || how.is == outcome::kind::canceled)) {
                end(how);
                return;
            }
            if (!how && failure_) {
                failure_ = how;
            } else if (how && !how.detail.empty()) {
                details_ += (details_.empty() ? "" : "; ") + how.detail;
            }
            if (next_ == parts_.size()) {
                end(failure_ ? outcome::ok(std::move(details_)) : failure_);
            } else if (canceled_) {
                end(outcome::canceled());
            } else {
                start_next();
            }
        });
    }

    std::vector<start_fn> parts_;
    std::size_t next_ = 0;
    bool goes_on_;        ///< after a failure
    outcome failure_;     ///< the first one
    std::string details_; ///< what the parts that went well had to say
};


class retrying final : public combined {
  public:
    retrying(clock &time, start_fn attempt, std::chrono::milliseconds first_pause, std::chrono::milliseconds timeout,
             std::function<outcome(const std::string &)> on_timeout, done_fn done)
        : combined(time, std::move(done)), attempt_(std::move(attempt)), pause_time_(first_pause),
          longest_pause_(first_pause * 10), deadline_(time.now() + timeout), on_timeout_(std::move(on_timeout))
    {
        start();
    }

  private:
    void start()
    {
        part_ = attempt_([this](const outcome &how) {
            if (how.is != outcome::kind::transient) {
                end(how);
            } else if (canceled_) {
                end(outcome::canceled());
            } else if (time_.now() >= deadline_) {
                end(on_timeout_(how.detail));
            } else {
                const auto left = std::max<std::chrono::milliseconds>(deadline_ - time_.now(), 1ms);
                pause_ = time_.after(std::min(pause_time_, left), [this] { start(); });
                pause_time_ = std::min(pause_time_ * 2, longest_pause_);
                part_.reset();
            }
        });
    }

    start_fn attempt_;
    std::chrono::milliseconds pause_time_;
    std::chrono::milliseconds longest_pause_;
    std::chrono::milliseconds deadline_;
    std::function<outcome(const std::string &)> on_timeout_;
};


class bounded final : public combined {
  public:
    bounded(clock &time, const start_fn &work, std::chrono::milliseconds timeout, outcome late, done_fn done)
        : combined(time, std::move(done))
    {
        pause_ = time.after(timeout, [this, late = std::move(late)] { end(late); });
        part_ = work([this](const outcome &how) { end(how); });
    }
};

} // namespace


operation_ptr ended(clock &time, outcome how, done_fn done)
{
    struct ending final : operation {
        operation_ptr alarm;
        void cancel() override {}
    };
    auto made = std::make_unique<ending>();
    made->alarm = time.after(0ms, [how = std::move(how), done = std::move(done)] { done(how); });
    return made;
}


operation_ptr in_order(clock &time, std::vector<start_fn> parts, done_fn done)
{
    return std::make_unique<sequence>(time, std::move(parts), false, std::move(done));
}


operation_ptr each_in_turn(clock &time, std::vector<start_fn> parts, done_fn done)
{
    return std::make_unique<sequence>(time, std::move(parts), true, std::move(done));
}


operation_ptr try_until(clock &time, start_fn attempt, std::chrono::milliseconds first_pause,
                        std::chrono::milliseconds timeout, std::function<outcome(const std::string &)> on_timeout,
                        done_fn done)
{
    return std::make_unique<retrying>(time, std::move(attempt), first_pause, timeout, std::move(on_timeout),
                                      std::move(done));
}


operation_ptr within(clock &time, const start_fn &work, std::chrono::milliseconds timeout, outcome late, done_fn done)
{
    return std::make_unique<bounded>(time, work, timeout, std::move(late), std::move(done));
}

} // namespace rollout
