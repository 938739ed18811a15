// What a gateway counts for a revision while a rollout watches it: the input of the gate.
//
// Latencies are counted in buckets like those of HdrHistogram: up to 15 ms each value has its own, above that there
// are sixteen for each octave, so that the middle of a bucket is within 3.2 % of each of its values. Latencies over
// the last bucket count in it.
//
// In a `measured` frame: {"revision": 7, "requests": 950, "failures": 3, "client_errors": 1, "left_out": 0, "sum_ms":
// 10450, "since": 12, "buckets": [index, count, index, count, …]}, and in the form of `buckets`, if there are any:
// `first_byte`, `abandoned`, `waiting`. Members that are missing, as from an older gateway, are zero.
#pragma once

#include "common/base/json.hpp"

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace rollout {

inline constexpr std::size_t latency_buckets = 208; ///< to 65,535 ms

/// Returns the bucket of a latency in milliseconds.
constexpr std::size_t latency_bucket(std::uint64_t ms) noexcept
{
    if (ms < 16) {
        return static_cast<std::size_t>(ms);
    }
    if (ms > 65535) {
        return latency_buckets - 1;
    }
    const auto octave = static_cast<unsigned>(std::bit_width(ms)) - 5; // 16 to 31 are octave 0
    return 16 * (octave + 1) + (static_cast<std::size_t>(ms >> octave) & 15);
}

/// Returns the middle of a bucket, in milliseconds.
constexpr double bucket_ms(std::size_t bucket) noexcept
{
    if (bucket < 16) {
        return static_cast<double>(bucket);
    }
    const std::size_t octave = bucket / 16 - 1;
    const auto width = static_cast<double>(std::uint64_t{1} << octave);
    return (static_cast<double>(16 + bucket % 16) + 0.5) * width - 0.5;
}

/// Returns the greatest latency of a bucket in milliseconds; the last bucket has none.
constexpr double bucket_most_ms(std::size_t bucket) noexcept
{
    if (bucket < 16) {
        return static_cast<double>(bucket);
    }
    return static_cast<double>(((std::uint64_t{17} + bucket % 16) << (bucket / 16 - 1)) - 1);
}

/// Requests in progress are counted by age, in powers of two: [k] counts those that have waited at least 2^k ms for
/// their server, and less than 2^(k+1).
inline constexpr std::size_t waiting_ages = 17; ///< the last: 65,536 ms and more

using latency_histogram = std::array<std::uint64_t, latency_buckets>;

/// Inferences that nginx sent to a revision's server, or tried to; not those that nginx answered itself.
struct traffic_counters {
    std::uint64_t requests = 0;      ///< requests that ended with an answer or a failure
    std::uint64_t failures = 0;      ///< of these: 5xx, or a server that did not answer, broke off or took too long
    std::uint64_t client_errors = 0; ///< of these: 4xx
    std::uint64_t left_out = 0;  ///< not in `requests`: further requests of a client whose failure was just counted
    std::uint64_t sum_ms = 0;    ///< of the requests' latencies
    std::uint64_t since = 0;     ///< if it changes, counting has restarted from zero
    latency_histogram buckets{}; ///< the requests' latencies; for streamed answers the time to the first byte
    latency_histogram first_byte{}; ///< the requests' times to the first byte
    latency_histogram abandoned{};  ///< requests whose client gave up, by the time they had waited; not in `requests`
    std::array<std::uint64_t, waiting_ages>
        waiting{}; ///< in progress at the time of reading, and without an answer's first byte

    double error_rate() const noexcept { return share_of(failures); }
    double client_error_rate() const noexcept { return share_of(client_errors); }
    double mean_ms() const noexcept { return share_of(sum_ms); }

    /// Returns the latency that the given share of the requests, 0..1, did not exceed; 0 without requests.
    double quantile_ms(double share) const noexcept;

    traffic_counters &operator+=(const traffic_counters &more) noexcept;

    /// Returns what was counted since `before` was read from the same counters; `waiting` is the current value.
    traffic_counters grown_since(const traffic_counters &before) const noexcept;

  private:
    double share_of(std::uint64_t part) const noexcept
    {
        return requests == 0 ? 0 : static_cast<double>(part) / static_cast<double>(requests);
    }
};

json_ptr counters_to_json(const traffic_counters &from, std::uint64_t revision);

/// Returns nothing if a member is missing or a bucket is malformed.
std::optional<traffic_counters> counters_from_json(const json_t *from, std::uint64_t &revision);

} // namespace rollout
