#include "worker/async/combine.hpp"

#include <algorithm>
#include <utility>

namespace rollout {

namespace {

using namespace std::chrono_literals;

class sequence final : public compound_operation {
  public:
    sequence(clock &time, std::vector<start_fn> parts, bool goes_on, done_fn done)
        : compound_operation(time, std::move(done)), parts_(std::move(parts)), goes_on_(goes_on)
    {
        if (parts_.empty()) {
            finish_soon(outcome::ok());
        } else {
            start_next();
        }
    }

  private:
    void start_next()
    {
        start<outcome>(parts_[next_++], [this](const outcome &result) { ended(result); });
    }

    void ended(const outcome &result)
    {
        if (!result && (!goes_on_ || result.is == outcome::kind::canceled)) {
            finish(result);
            return;
        }
        if (!result && failure_) {
            failure_ = result;
        } else if (result && !result.detail.empty()) {
            details_ += (details_.empty() ? "" : "; ") + result.detail;
        }
        if (next_ == parts_.size()) {
            finish(failure_ ? outcome::ok(std::move(details_)) : failure_);
        } else if (is_canceled()) {
            finish(outcome::canceled());
        } else {
            start_next();
        }
    }

    std::vector<start_fn> parts_;
    std::size_t next_ = 0;
    bool goes_on_;        ///< continues after a failure
    outcome failure_;     ///< the first one; ok while there is none
    std::string details_; ///< of the parts that succeeded
};


class retrying final : public compound_operation {
  public:
    retrying(clock &time, start_fn attempt, std::chrono::milliseconds first_pause, std::chrono::milliseconds timeout,
             std::function<outcome(const std::string &)> on_timeout, done_fn done)
        : compound_operation(time, std::move(done)), attempt_(std::move(attempt)), pause_(first_pause),
          longest_pause_(first_pause * 10), deadline_(time.now() + timeout), on_timeout_(std::move(on_timeout))
    {
        try_once();
    }

  private:
    void try_once()
    {
        start<outcome>(attempt_, [this](const outcome &result) { ended(result); });
    }

    void ended(const outcome &result)
    {
        if (result.is != outcome::kind::transient) {
            finish(result);
        } else if (is_canceled()) {
            finish(outcome::canceled());
        } else if (time().now() >= deadline_) {
            finish(on_timeout_(result.detail));
        } else {
            const auto left = std::max<std::chrono::milliseconds>(deadline_ - time().now(), 1ms);
            pause_for(std::min(pause_, left), [this] { try_once(); });
            pause_ = std::min(pause_ * 2, longest_pause_);
        }
    }

    start_fn attempt_;
    std::chrono::milliseconds pause_; ///< before the next attempt
    std::chrono::milliseconds longest_pause_;
    std::chrono::milliseconds deadline_;
    std::function<outcome(const std::string &)> on_timeout_;
};


class bounded final : public compound_operation {
  public:
    bounded(clock &time, const start_fn &work, std::chrono::milliseconds timeout, outcome late, done_fn done)
        : compound_operation(time, std::move(done))
    {
        limit_ = time.after(timeout, [this, late = std::move(late)] { finish(late); });
        start<outcome>(work, [this](const outcome &result) { finish(result); });
    }

  private:
    operation_ptr limit_;
};

} // namespace


operation_ptr ended(clock &time, outcome result, done_fn done)
{
    struct ending final : compound_operation {
        ending(clock &of, outcome result, done_fn done) : compound_operation(of, std::move(done))
        {
            finish_soon(std::move(result));
        }
        void cancel() override {}
    };
    return std::make_unique<ending>(time, std::move(result), std::move(done));
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
