// How many requests each revision has in flight, over all processes of a gateway, so that a drain can be awaited.
//
// Every nginx process counts in a slot of its own in shared memory, or, where these are all in use, in an overflow counter of its own, one
// number for all revisions; a reader adds up those of the processes that live. What a killed process had in flight is gone
// with it, and so is its slot or overflow counter: no ghost stays behind.
//
// Of revisions that a rollout watches a slot has ladders as well: how many requests have waited how long for their first byte.
// A process without a slot has none, and neither has one revision too many: what waits there shows only once it has ended.
#pragma once

#include "common/domain/traffic_counters.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string_view>

#include <sys/types.h>

namespace rollout {

/// A model's revision, as 64 bits: two revisions in flight at once that share one only prolong each other's drain.
std::uint64_t in_flight_key(std::string_view model_id, std::string_view part, std::uint64_t revision) noexcept;

class in_flight_table {
  public:
    /// Bytes for so many processes, each with so many revisions in flight at a time.
    static std::size_t bytes_for(std::size_t processes, std::size_t revisions) noexcept;

    static void format(void *memory, std::size_t processes, std::size_t revisions) noexcept;

    explicit in_flight_table(void *memory) noexcept;

    using alive_fn = std::function<bool(pid_t)>;

    /// A process takes a slot when it starts: a free one or that of a dead process. False when all are in use; it then
    /// takes an overflow counter, and counts for every revision, which may prolong a drain but never cut it short.
    bool join(pid_t pid, const alive_fn &alive) noexcept;

    /// Gives the slot, or the overflow counter, back.
    void leave() noexcept;

    /// Counts a request in; only the process that joined. What comes back goes into `exit`.
    std::uint32_t enter(std::uint64_t key) noexcept;
    void exit(std::uint32_t index) noexcept;

    /// Requests in flight on that revision in all living processes: at least the true number.
    std::uint64_t count(std::uint64_t key, const alive_fn &alive) const noexcept;

    // Waiting requests; only the process that joined.

    static constexpr std::uint32_t no_ladder = UINT32_MAX;
    static constexpr int not_on_it = -1; ///< a rung: the request is not on its ladder yet, or not any more

    /// A watched request: its revision's ladder, or none. What comes back goes, as `on`, into `move` and `get_off`.
    std::uint32_t get_on(std::uint64_t key) noexcept;

    /// The request has climbed from one rung, the power of two of its milliseconds, to another.
    void move(std::uint32_t on, int from, int to) noexcept;

    void get_off(std::uint32_t on, int from) noexcept;

    /// The requests on that revision's rungs in all living processes.
    std::array<std::uint64_t, waiting_ages> waiting(std::uint64_t key, const alive_fn &alive) const noexcept;

    std::size_t processes() const noexcept;

  private:
    struct ladder;

    struct header;
    struct process_slot;
    struct entry;
    struct overflow_counter;

    void claim_overflow_counter(pid_t pid, const alive_fn &alive) noexcept;
    process_slot &process_slot_at(std::size_t index) const noexcept;
    overflow_counter &overflow_counter_at(std::size_t index) const noexcept;
    entry *entries_of(process_slot &of) const noexcept;
    ladder *ladders_of(process_slot &of) const noexcept;

    unsigned char *base_;
    header *header_;
    process_slot *slot_ = nullptr;
    overflow_counter *overflow_counter_ = nullptr; ///< where no slot was free
};

} // namespace rollout
