// A backend's operation that is made of two.
#pragma once

#include "worker/async/outcome.hpp"

#include <functional>
#include <memory>
#include <utility>

namespace rollout {

using part_fn = std::function<operation_ptr(done_fn)>;

/// The second begins when the first went well; a failure of the first is that of the whole.
class two_parts final : public operation {
  public:
    two_parts(const part_fn &first, part_fn second, done_fn done) : second_(std::move(second)), done_(std::move(done))
    {
        part_ = first([this](const outcome &how) {
            if (!how || canceled_) {
                end(how ? outcome::canceled() : how);
                return;
            }
            part_ = second_([this](const outcome &last) { end(last); });
        });
    }

    void cancel() override
    {
        canceled_ = true;
        part_->cancel();
    }

  private:
    void end(outcome how)
    {
        const auto done = std::exchange(done_, nullptr); // which may destroy this
        done(std::move(how));
    }

    part_fn second_;
    done_fn done_;
    operation_ptr part_;
    bool canceled_ = false;
};


inline operation_ptr first_then(const part_fn &first, part_fn second, done_fn done)
{
    return std::make_unique<two_parts>(first, std::move(second), std::move(done));
}

} // namespace rollout
