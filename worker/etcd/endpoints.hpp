// Which member of the cluster is asked next. Decides only; knows no socket.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <vector>

namespace rollout::etcd {

/// Stays with one endpoint while it works, and takes the next one in turn when it fails. An endpoint that has failed is
/// passed over for a pause, 100 ms at first and doubled up to 5 s, of which chance takes up to half. If all have failed,
/// one is tried a second, in turn, whatever their pauses.
class endpoints {
  public:
    using time = std::chrono::milliseconds; ///< of a clock that never jumps

    /// `random` returns numbers from 0 to 1, without 1. `count` is at least 1, `first` below it.
    endpoints(std::size_t count, std::size_t first, std::function<double()> random);

    struct choice {
        std::size_t index = 0;
        time wait{0}; ///< before it is tried
    };

    /// Returns the endpoint to try next.
    choice next(time now) const;

    /// An attempt begins, with the one that next() has named.
    void on_attempt(std::size_t index, time now);

    /// A request was answered.
    void on_success(std::size_t index) noexcept;

    /// An attempt or a request failed. Returns whether this is the endpoint's first failure since it worked.
    bool on_failure(std::size_t index, time now);

    /// Moves on from an endpoint that answers but does not serve, with nothing held against it.
    void leave(std::size_t index) noexcept;

    /// Returns whether each has failed since it worked.
    bool all_down() const noexcept;

  private:
    struct endpoint {
        unsigned failures = 0; ///< since it worked
        time failed_at{0};
        time pause{0};
    };

    std::vector<endpoint> all_;
    std::size_t current_;
    time last_attempt_{0};
    bool has_tried_ = false;
    std::function<double()> random_;
};

} // namespace rollout::etcd
