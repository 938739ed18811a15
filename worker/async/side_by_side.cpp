#include "worker/async/side_by_side.hpp"

#include "worker/async/completion.hpp"

#include <algorithm>
#include <utility>

namespace rollout {

namespace {

class parallel final : public operation {
  public:
    parallel(clock &time, std::vector<start_fn> parts, side_by_side_rule rule, side_by_side_fn done)
        : time_(time), parts_(std::move(parts)), rule_(rule), done_(std::move(done)), results_(parts_.size()),
          work_(parts_.size()), begun_at_(time.now())
    {
        if (parts_.empty()) {
            alarm_ = time_.after({}, [this] { finish(); });
        } else {
            start_more();
        }
    }

    void cancel() override
    {
        if (std::exchange(canceled_, true)) {
            return;
        }
        for (std::size_t i = 0; i < next_; ++i) {
            if (!results_[i]) {
                work_[i]->cancel();
            }
        }
    }

  private:
    void start_more()
    {
        while (next_ < parts_.size() && under_way_ < std::max<std::size_t>(rule_.at_once, 1) && !canceled_) {
            const std::size_t i = next_++;
            ++under_way_;
            work_[i] = parts_[i]([this, i](outcome result) { on_ended(i, std::move(result)); });
        }
    }

    void on_ended(std::size_t i, outcome result)
    {
        --under_way_;
        good_ += result ? 1 : 0;
        results_[i] = std::move(result);
        start_more();
        if (under_way_ == 0) {
            finish();
        } else if (good_ >= rule_.enough && !alarm_) {
            alarm_ = time_.after(std::max(rule_.grace, time_.now() - begun_at_), [this] { finish(); });
        }
    }

    /// Abandons whatever is under way.
    void finish()
    {
        work_.clear();
        done_(std::move(results_));
    }

    clock &time_;
    const std::vector<start_fn> parts_;
    const side_by_side_rule rule_;
    completion<std::vector<std::optional<outcome>>> done_;
    std::vector<std::optional<outcome>> results_;
    std::vector<operation_ptr> work_;
    operation_ptr alarm_;
    const std::chrono::milliseconds begun_at_;
    std::size_t next_ = 0;
    std::size_t under_way_ = 0;
    std::size_t good_ = 0;
    bool canceled_ = false;
};

} // namespace


operation_ptr side_by_side(clock &time, std::vector<start_fn> parts, side_by_side_rule rule, side_by_side_fn done)
{
    return std::make_unique<parallel>(time, std::move(parts), rule, std::move(done));
}

} // namespace rollout
