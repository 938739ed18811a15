// What a gateway counts of a model's revision while a rollout watches it: the unit of the gate.
//
// Latencies go into buckets of the HdrHistogram kind: up to 15 ms each has its own, above that sixteen share an octave,
// so that a bucket's middle is at most 3.2 % from any of its values. What is over the last bucket counts in it.
//
// In a `measured` frame: {"revision": 7, "requests": 950, "failures": 3, "client_errors": 1, "sum_ms": 10450, "since": 12,
// "buckets": [index, count, index, count, …]}.
#pragma once

#include "common/json.hpp"

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace rollout {

inline constexpr std::size_t latency_buckets = 208; ///< to 65,535 ms

/// Of a latency in milliseconds.
constexpr std::size_t latency_bucket(std::uint64_t ms) noexcept
{
    if (ms < 16) {
        return static_cast<std::size_t>(ms);
    }
    if (ms > 65535) {
        return latency_buckets - 1;
    }
    const auto octave = static_cast<unsigned>(std::bit_width(ms)) - 5; // of 16 to 31: 0
    return 16 * (octave + 1) + (static_cast<std::size_t>(ms >> octave) & 15);
}

/// The middle of a bucket, in milliseconds.
constexpr double bucket_ms(std::size_t bucket) noexcept
{
    if (bucket < 16) {
        return static_cast<double>(bucket);
    }
    const std::size_t octave = bucket / 16 - 1;
    const auto width = static_cast<double>(std::uint64_t{1} << octave);
    return (static_cast<double>(16 + bucket % 16) + 0.5) * width - 0.5;
}

struct traffic_counters {
    std::uint64_t requests = 0;      ///< that ended, but for those whose client went away
    std::uint64_t failures = 0;      ///< 5xx, or an upstream that failed, broke off or took too long
    std::uint64_t client_errors = 0; ///< 4xx
    std::uint64_t sum_ms = 0;        ///< of the requests' latencies
    std::uint64_t since = 0;         ///< another value: counted anew from zero
    std::array<std::uint64_t, latency_buckets> buckets{};

    double error_rate() const noexcept { return share_of(failures); }
    double client_error_rate() const noexcept { return share_of(client_errors); }
    double mean_ms() const noexcept { return share_of(sum_ms); }

    /// The latency that a share of the requests, 0..1, did not exceed; 0 without requests.
    double quantile_ms(double share) const noexcept;

    traffic_counters &operator+=(const traffic_counters &more) noexcept;

    /// What was counted since `before` was read of the same place.
    traffic_counters grown_since(const traffic_counters &before) const noexcept;

  private:
    double share_of(std::uint64_t part) const noexcept
    {
        return requests == 0 ? 0 : static_cast<double>(part) / static_cast<double>(requests);
    }
};

json_ptr counters_to_json(const traffic_counters &from, std::uint64_t revision);

/// Nothing where a member is missing or a bucket is none.
std::optional<traffic_counters> counters_from_json(const json_t *from, std::uint64_t &revision);

} // namespace rollout
