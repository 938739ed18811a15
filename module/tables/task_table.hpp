// The replica of the tasks in shared memory: what answers a client's read. Filled from rolloutd's journal, bounded by
// the zone, rebuilt at any time; nothing is decided here.
#pragma once

#include "common/domain/task_status.hpp"
#include "module/tables/record_store.hpp"

#include <array>
#include <cstdint>
#include <string_view>

namespace rollout {

/// A task as it comes from rolloutd. Views, valid as long as what they came from.
struct task_record {
    task_kind kind = task_kind::deploy;
    task_status status = task_status::pending;
    std::uint64_t sequence = 0; ///< its place in the order of acceptance
    std::uint64_t revision = 0; ///< the journal's counter at its last change
    std::string_view task_id;
    std::string_view model_id;
    std::string_view document; ///< as the client reads it, in the standard dialect

    /// Where in the document the status stands, without its quotes.
    std::size_t status_at() const noexcept;
};

/// How many tasks of each kind and status a table holds; in the shared memory beside it.
struct task_counts {
    std::array<std::array<std::uint64_t, task_statuses>, task_kinds> of{};

    std::uint64_t read(task_kind kind, task_status status) const noexcept;
};

class task_table {
  public:
    /// `counts` is kept by a writer; null where nobody asks for them.
    explicit task_table(record_store &records, task_counts *counts = nullptr) noexcept
        : records_(records), counts_(counts)
    {
    }

    using allocate_fn = record_store::allocate_fn;

    // Reading: without a lock.

    /// Copies the task into memory that `allocate` gives, which must outlive the record. A deployment asked for as a
    /// deletion is not there, and the other way round.
    record_store::found by_id(task_kind kind, std::string_view task_id, const allocate_fn &allocate,
                              task_record &task) const;

    /// The model's latest task of that kind.
    record_store::found latest(task_kind kind, std::string_view model_id, const allocate_fn &allocate,
                               task_record &task) const;

    // Writing: between the store's begin_write and end_write.

    enum class stored {
        yes,
        stale,   ///< what is there is as new or newer: a replay
        no_room, ///< not even after all others went; an older state of it went as well
    };

    /// Makes room, where needed, with the oldest final tasks first, then with the oldest of the others. `evicted`, which
    /// readers may look at, is raised before each one that goes.
    stored put(const task_record &task, std::uint64_t &evicted);

    /// Is it there, in whatever state?
    bool holds(std::string_view task_id) const;

    /// Lets the oldest final task go, or the oldest of all where none is final, but not `keep`. False when there is none.
    bool evict_one(std::string_view keep = {});

    void clear();

    /// Makes the models' entries and the counts anew from the tasks: a writer that was killed may have left them behind
    /// its tasks. Takes no memory of the process's.
    /// `evicted` is raised where there is no room for one, so that rolloutd is asked for its latest.
    void rebuild_models(std::uint64_t &evicted);

    std::size_t count() const noexcept { return records_.count(record_map::tasks); }

  private:
    bool note_latest(const task_record &task);
    bool make_room(std::size_t cells, std::string_view keep, std::uint64_t &evicted);
    void evict(std::string_view task_id);
    void count(const task_record &task, std::int64_t more) noexcept;

    record_store &records_;
    task_counts *counts_;
};

} // namespace rollout
