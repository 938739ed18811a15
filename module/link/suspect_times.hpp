// Limits how often a worker process reports the same server.
#pragma once

#include "common/base/hash.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace rollout {

class suspect_times {
  public:
    /// Returns whether the server is to be reported now: its last report is at least a second old. `now_ms` is from a
    /// clock in milliseconds that wraps around. Servers that share a bucket may be reported more often.
    bool is_due(std::string_view upstream, std::string_view peer, std::uint64_t now_ms) noexcept
    {
        const std::uint64_t hash = fnv1a().add(upstream).add("\n").add(peer).value();
        auto &bucket = reports_[hash % reports_.size()];
        if (bucket.hash == hash && now_ms - bucket.at_ms < pause_ms) {
            return false;
        }
        bucket = {hash, now_ms};
        return true;
    }

  private:
    static constexpr std::uint64_t pause_ms = 1000;

    struct report {
        std::uint64_t hash = 0;
        std::uint64_t at_ms = 0;
    };

    std::array<report, 256> reports_{};
};

} // namespace rollout
