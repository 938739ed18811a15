// Decides how many writes a batch waits for when many come.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>

namespace rollout {

/// While a batch is committed, the clients of the one before get their answers and send their next tasks. A batch that
/// began with the first few of these would cost a sync for a few rows: where the batch before was large, the next one
/// waits for as many, for at most half of the time that the commit took. A few clients wait for nothing.
class gather_policy {
  public:
    /// `most`: the longest wait, as a disk may stand still.
    explicit gather_policy(std::chrono::nanoseconds most = std::chrono::milliseconds(5)) : most_(most) {}

    /// Notes a batch that has ended.
    void note(std::size_t writes, std::chrono::nanoseconds took) noexcept
    {
        writes_ = writes;
        took_ = took;
    }

    /// Returns how many writes are enough for the next batch.
    std::size_t wanted() const noexcept { return writes_ < many ? 1 : writes_; }

    /// Returns how long to wait for them.
    std::chrono::nanoseconds longest_wait() const noexcept { return std::min(took_ / 2, most_); }

  private:
    static constexpr std::size_t many = 16;

    std::chrono::nanoseconds most_;
    std::size_t writes_ = 0;
    std::chrono::nanoseconds took_{};
};

} // namespace rollout
