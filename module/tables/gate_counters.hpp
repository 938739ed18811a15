// What the requests of a rollout's revisions came to, in shared memory: every nginx process adds, rolloutd's gate asks.
//
// A bucket is taken by the first request of a revision that is watched, and given to another revision when it was not used
// for longest: the gate sees by `since` that a bucket was taken anew. No lock: each number is added to by itself, so that a
// process that is killed leaves at worst one request half counted.
#pragma once

#include "common/domain/traffic_counters.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>

namespace rollout {

class gate_counters {
  public:
    enum class result : std::uint8_t { good, client_error, failure };

    static std::size_t bytes_for(std::size_t buckets) noexcept;
    static void format(void *memory, std::size_t buckets) noexcept;

    explicit gate_counters(void *memory) noexcept;

    // `key` as in_flight_key makes it; `now_s` from a clock that does not jump back.

    /// A request that ended with an answer, or with a failure; the latter may have had no first byte.
    void count(std::uint64_t key, result how, std::uint64_t latency_ms, std::optional<std::uint64_t> first_byte_ms,
               std::uint32_t now_s) noexcept;

    /// A request whose client gave up when it had waited that long for the server.
    void count_abandoned(std::uint64_t key, std::uint64_t waited_ms, std::uint32_t now_s) noexcept;

    /// A request that is no evidence (client_table.hpp).
    void count_left_out(std::uint64_t key, std::uint32_t now_s) noexcept;

    /// All zero if that revision has had no request. `waiting` is not kept here, but with what is in flight.
    traffic_counters read(std::uint64_t key) const noexcept;

  private:
    static constexpr std::size_t probes = 16; ///< where a revision may stand from its hash on

    struct header;
    struct traffic_bucket;

    traffic_bucket *find(std::uint64_t key) const noexcept;
    traffic_bucket *claim(std::uint64_t key, std::uint32_t now_s) noexcept;
    traffic_bucket *find_or_claim(std::uint64_t key, std::uint32_t now_s) noexcept;

    header *header_;
    traffic_bucket *buckets_;
};

} // namespace rollout
