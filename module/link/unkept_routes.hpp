// Routes that are in force but not yet in the state file: rolloutd is told of them once they are.
#pragma once

#include <cstdint>
#include <map>
#include <optional>

namespace rollout {

class unkept_routes {
  public:
    /// Notes that routes up to that revision are in force, and that the given write will contain them.
    void add(std::uint64_t write, std::uint64_t revision);

    /// To be called when all writes up to that one have ended. Returns the revision up to which routes are in the
    /// file, or nothing if no routes waited for these writes.
    std::optional<std::uint64_t> take(std::uint64_t write) noexcept;

    void clear() noexcept { by_write_.clear(); }

  private:
    std::map<std::uint64_t, std::uint64_t> by_write_; ///< revisions, by the number of the write
};

} // namespace rollout
