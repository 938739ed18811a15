// Counts the requests in flight for each revision, over all processes of a gateway, so that a drain can wait for
// them.
//
// Every nginx process counts in its own slot in shared memory. If all slots are in use, it counts in an overflow
// counter of its own, one number for all revisions. A reader adds up the counts of the living processes. The counts
// of a killed process disappear with it, as does its slot or overflow counter: no stale count remains.
//
// For revisions that a rollout watches, a slot also has ladders: how many requests have waited how long for their
// first byte. A process without a slot has no ladders, and revisions beyond the number of ladders have none: there, a
// waiting request becomes visible only when it has ended.
#pragma once

#include "common/domain/traffic_counters.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string_view>

#include <sys/types.h>

namespace rollout {

/// Returns a model's revision as 64 bits. If two revisions in flight share a key, they only prolong each other's
/// drain.
std::uint64_t in_flight_key(std::string_view model_id, std::string_view part, std::uint64_t revision) noexcept;

class in_flight_table {
  public:
    /// Returns the bytes needed for so many processes, each with so many revisions in flight at a time.
    static std::size_t bytes_for(std::size_t processes, std::size_t revisions) noexcept;

    static void format(void *memory, std::size_t processes, std::size_t revisions) noexcept;

    explicit in_flight_table(void *memory) noexcept;

    using alive_fn = std::function<bool(pid_t)>;

    /// Takes a slot for a process that starts: a free one, or that of a dead process. Returns false if all are in
    /// use; the process then takes an overflow counter, which counts for every revision, and may prolong a drain but
    /// never cut it short.
    bool join(pid_t pid, const alive_fn &alive) noexcept;

    /// Releases the slot, or the overflow counter.
    void leave() noexcept;

    /// Counts a request in; only for the process that joined. The result is to be passed to `exit`.
    std::uint32_t enter(std::uint64_t key) noexcept;
    void exit(std::uint32_t index) noexcept;

    /// Returns the number of requests in flight for that revision in all living processes; never less than the true
    /// number.
    std::uint64_t count(std::uint64_t key, const alive_fn &alive) const noexcept;

    // Waiting requests; only for the process that joined.

    static constexpr std::uint32_t no_ladder = UINT32_MAX;
    static constexpr int not_on_it = -1; ///< a rung: the request is not on its ladder yet, or no longer

    /// Returns the ladder of a watched request's revision, or no_ladder. The result is to be passed, as `on`, to
    /// `move` and `get_off`.
    std::uint32_t get_on(std::uint64_t key) noexcept;

    /// Moves the request from one rung to another. A rung is the power of two of the milliseconds waited.
    void move(std::uint32_t on, int from, int to) noexcept;

    void get_off(std::uint32_t on, int from) noexcept;

    /// Returns the requests on each rung of that revision, in all living processes.
    std::array<std::uint64_t, waiting_ages> waiting(std::uint64_t key, const alive_fn &alive) const noexcept;

    std::size_t processes() const noexcept;

  private:
    struct ladder;

    struct header;
    struct process_slot;
    struct entry;
    struct overflow_counter;

    static std::size_t slot_bytes(std::size_t revisions) noexcept;

    void claim_overflow_counter(pid_t pid, const alive_fn &alive) noexcept;
    process_slot &process_slot_at(std::size_t index) const noexcept;
    overflow_counter &overflow_counter_at(std::size_t index) const noexcept;
    entry *entries_of(process_slot &of) const noexcept;
    ladder *ladders_of(process_slot &of) const noexcept;

    unsigned char *base_;
    header *header_;
    process_slot *slot_ = nullptr;
    overflow_counter *overflow_counter_ = nullptr; ///< used if no slot was free
};

} // namespace rollout
