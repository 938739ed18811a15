// The replica of the tasks in shared memory, which answers clients' reads. It is filled from rolloutd's journal,
// bounded by the zone, and can be rebuilt at any time; it decides nothing.
#pragma once

#include "common/domain/task_status.hpp"
#include "module/tables/event_ring.hpp"
#include "module/tables/record_store.hpp"

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

namespace rollout {

/// A task as received from rolloutd. The views are valid as long as the data that they point to.
struct task_record {
    task_kind kind = task_kind::deploy;
    task_status status = task_status::pending;
    std::uint64_t sequence = 0; ///< its position in the order of acceptance
    std::uint64_t revision = 0; ///< the journal's counter at its last change
    std::string_view task_id;
    std::string_view model_id;
    std::string_view document; ///< as the client reads it, in the standard dialect

    /// Returns where in the document the status begins, without its quotes.
    std::size_t status_at() const noexcept;
};

/// How many tasks of each kind and status a table holds, and what it has forgotten; kept next to it in the shared memory.
struct task_counts {
    std::array<std::array<std::uint64_t, task_statuses>, task_kinds> of{};

    /// The greatest sequence of a task, for each kind, that was a model's latest when that model's entry was removed.
    /// An older task that comes into the table later may not be the latest of its model.
    std::array<std::uint64_t, task_kinds> forgotten{};

    std::uint64_t read(task_kind kind, task_status status) const noexcept;
};

class task_table {
  public:
    /// `counts` and `events` are updated by a writer; null if they are not needed.
    explicit task_table(record_store &records, task_counts *counts = nullptr, event_ring *events = nullptr) noexcept
        : records_(records), counts_(counts), events_(events)
    {
    }

    using allocate_fn = record_store::allocate_fn;

    // Reading: without a lock.

    /// Copies the task into memory from `allocate`, which must outlive the record. A deployment is not found as a
    /// deletion, nor a deletion as a deployment.
    record_store::found by_id(task_kind kind, std::string_view task_id, const allocate_fn &allocate,
                              task_record &task) const;

    /// Finds the model's latest task of that kind.
    record_store::found latest(task_kind kind, std::string_view model_id, const allocate_fn &allocate,
                               task_record &task) const;

    // Writing: between the store's begin_write and end_write.

    enum class stored {
        yes,
        stale,   ///< the table has the same state or a newer one: this is a replay
        no_room, ///< not even after all others were evicted; an older state of the task was removed as well
    };

    /// Makes room, if needed, by evicting the oldest final tasks first, and then the oldest of the others. Raises
    /// `evicted`, which readers may check, before each eviction.
    stored put(const task_record &task, std::uint64_t &evicted);

    /// Lets the processor fetch what `put` needs of these tasks, which come next, all at a time.
    void expect(std::span<const task_record> next) const;

    /// Returns whether the task is in the table, in whatever state.
    bool holds(std::string_view task_id) const;

    /// Evicts the oldest final task, or the oldest of all if none is final, but never `keep`. Returns false if there
    /// is none to evict.
    bool evict_one(std::string_view keep = {});

    void clear();

    /// Rebuilds the models' entries and the counts from the tasks: a writer that was killed may have left them out of
    /// date. Allocates no memory of the process. Raises `evicted` if there is no room for an entry, so that rolloutd
    /// is asked for that model's latest task.
    void rebuild_models(std::uint64_t &evicted);

    std::size_t count() const noexcept { return records_.count(record_map::tasks); }

  private:
    stored store(const task_record &task, std::uint64_t &evicted);
    bool note_latest(const task_record &task);
    bool make_room(std::size_t cells, std::string_view keep, std::uint64_t &evicted);
    void evict(std::string_view task_id);
    void note_forgotten(std::size_t kind, std::uint64_t sequence) noexcept;
    void count(const task_record &task, std::int64_t more) noexcept;

    record_store &records_;
    task_counts *counts_;
    event_ring *events_;
};

} // namespace rollout
