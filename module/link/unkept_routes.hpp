// Routes in force that a write of the state file has still to keep: rolloutd hears of them once it has.
#pragma once

#include <cstdint>
#include <map>
#include <optional>

namespace rollout {

class unkept_routes {
  public:
    /// Routes up to that revision are in force, and that write will hold them.
    void add(std::uint64_t write, std::uint64_t revision);

    /// All writes up to that one have come to their end: up to where routes are kept. Nothing when none of these waited for one.
    std::optional<std::uint64_t> take(std::uint64_t write) noexcept;

    void clear() noexcept { by_write_.clear(); }

  private:
    std::map<std::uint64_t, std::uint64_t> by_write_; ///< revisions
};

} // namespace rollout
