// What a gateway counts of a model's revision while a rollout watches it: the unit of the gate.
//
// Latencies go into buckets of the HdrHistogram kind: up to 15 ms each has its own, above that sixteen share an octave,
// so that a bucket's middle is at most 3.2 % from any of its values. What is over the last bucket counts in it.
//
// In a `measured` frame: {"revision": 7, "requests": 950, "failures": 3, "client_errors": 1, "left_out": 0, "sum_ms": 10450,
// "since": 12, "buckets": [index, count, index, count, …]}, and like `buckets`, if there are any: `first_byte`, `abandoned`,
// `waiting`. What is not there, as from an older gateway, is zero.
#pragma once

#include "common/base/json.hpp"

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

/// The most milliseconds of a bucket; of the last there is none.
constexpr double bucket_most_ms(std::size_t bucket) noexcept
{
    if (bucket < 16) {
        return static_cast<double>(bucket);
    }
    return static_cast<double>(((std::uint64_t{17} + bucket % 16) << (bucket / 16 - 1)) - 1);
}

/// Requests under way are known by the power of two that their age has passed: at [k] those that have waited at least 2^k ms
/// for their server, and less than 2^(k+1).
inline constexpr std::size_t waiting_ages = 17; ///< the last: 65,536 ms and more

using latency_histogram = std::array<std::uint64_t, latency_buckets>;

/// Inferences that nginx sent to a revision's server, or tried to; nothing that nginx answered itself.
struct traffic_counters {
    std::uint64_t requests = 0;      ///< that ended with an answer, or a failure
    std::uint64_t failures = 0;      ///< of these: 5xx, or a server that did not answer, broke off or took too long
    std::uint64_t client_errors = 0; ///< of these: 4xx
    std::uint64_t left_out = 0;  ///< not among these: more requests of a client whose failure has just been counted
    std::uint64_t sum_ms = 0;    ///< of the requests' latencies
    std::uint64_t since = 0;     ///< another value: counted anew from zero
    latency_histogram buckets{}; ///< the requests' latencies; of streamed answers the time to the first byte
    latency_histogram first_byte{}; ///< the requests' times to the first byte
    latency_histogram
        abandoned{}; ///< requests whose client gave up, by how long they had waited; not among `requests`
    std::array<std::uint64_t, waiting_ages>
        waiting{}; ///< under way as it is read, and without an answer's first byte

    double error_rate() const noexcept { return share_of(failures); }
    double client_error_rate() const noexcept { return share_of(client_errors); }
    double mean_ms() const noexcept { return share_of(sum_ms); }

    /// The latency that a share of the requests, 0..1, did not exceed; 0 without requests.
    double quantile_ms(double share) const noexcept;

    traffic_counters &operator+=(const traffic_counters &more) noexcept;

    /// What was counted since `before` was read of the same place; `waiting` as it is now.
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
