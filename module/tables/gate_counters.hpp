// Counts, in shared memory, the results of requests to a rollout's revisions: every nginx process adds to them, and
// rolloutd's gate reads them.
//
// The first request of a watched revision claims a bucket; a bucket that has not been used for longest is given to
// another revision. The gate recognizes by `since` that a bucket was claimed again. There is no lock: each number is
// incremented by itself, so a killed process leaves at most one request half counted.
#pragma once

#include "common/domain/traffic_counters.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>

namespace rollout {

class gate_counters {
  public:
    enum class result : std::uint8_t { good, client_error, failure };

    static std::size_t bytes_for(std::size_t buckets, std::size_t stripes) noexcept;
    static void format(void *memory, std::size_t buckets, std::size_t stripes) noexcept;

    /// `process`: which of the worker processes counts, from 0.
    explicit gate_counters(void *memory, std::size_t process = 0) noexcept;

    // `key` is from in_flight_key; `now_s` is from a clock that does not jump back.

    /// Counts a request that ended with an answer or with a failure; after a failure there may have been no first
    /// byte.
    void count(std::uint64_t key, result kind, std::uint64_t latency_ms, std::optional<std::uint64_t> first_byte_ms,
               std::uint32_t now_s) noexcept;

    /// Counts a request whose client gave up after waiting that long for the server.
    void count_abandoned(std::uint64_t key, std::uint64_t waited_ms, std::uint32_t now_s) noexcept;

    /// Counts a request that is not evidence (client_table.hpp).
    void count_left_out(std::uint64_t key, std::uint32_t now_s) noexcept;

    /// Returns zeros if the revision has had no request. `waiting` is not kept here, but with the requests in flight.
    traffic_counters read(std::uint64_t key) const noexcept;

  private:
    static constexpr std::size_t probes = 16; ///< buckets that are searched for a revision, starting at its hash

    struct header;
    struct traffic_bucket;
    struct traffic_counts;

    traffic_counts &counts(const traffic_bucket &of, std::size_t stripe) const noexcept;
    traffic_counts *own_counts(std::uint64_t key, std::uint32_t now_s) noexcept;

    traffic_bucket *find(std::uint64_t key) const noexcept;
    traffic_bucket *claim(std::uint64_t key, std::uint32_t now_s) noexcept;
    traffic_bucket *find_or_claim(std::uint64_t key, std::uint32_t now_s) noexcept;

    header *header_;
    traffic_bucket *buckets_;
    traffic_counts *counts_;
    std::size_t stripe_; ///< that of this process
};

} // namespace rollout
