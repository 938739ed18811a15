// A copy of a journal that is elsewhere, in the file and with the tables of a journal of its own: what reads a journal
// reads it. Its changes and the position that they lead to are one transaction.
//
// WAL, synchronous=NORMAL: the last changes may be lost with the machine's power, and are then followed again.
#pragma once

#include "worker/journal/journal.hpp"
#include "worker/journal/sqlite/checkpoints.hpp"
#include "worker/journal/sqlite/committer.hpp"
#include "worker/journal/sqlite/journal_file.hpp"
#include "worker/journal/sqlite/journal_reader.hpp"
#include "worker/journal/sqlite/open_tasks.hpp"

#include <uv.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace rollout {

struct replica_task {
    task_row row;
    std::int64_t updated_us = 0;
};

struct replica_model {
    std::string model_id;
    std::uint64_t revision = 0;
    std::string state; ///< as JSON
};

struct replica_series {
    std::string task_id;
    std::string content; ///< packed (packed_text.hpp)
};

/// Changes in order; each key once among the removed ones, which come last. A series without its task is left out, and goes
/// with it.
struct replica_changes {
    std::vector<replica_task> tasks = {};
    std::vector<replica_model> models = {};
    std::vector<std::string> removed = {}; ///< ids of tasks
    std::vector<replica_series> series = {};
    std::vector<std::string> removed_series = {}; ///< ids of tasks
};

/// Of what this is a replica, and how far it is.
struct replica_position {
    std::string journal_id;     ///< empty: of nothing yet
    std::uint64_t cluster = 0;  ///< etcd's own id
    std::uint64_t revision = 0; ///< the changes up to there are applied
    std::string mark;           ///< of the last change: another history has another one at that revision

    bool operator==(const replica_position &) const = default;
};

class journal_replica {
  public:
    /// Opens or creates the file; throws as journal_file does. One that is damaged is removed, and begun anew: what was in it
    /// is elsewhere. The loop must outlive the replica.
    journal_replica(uv_loop_t *loop, const std::string &path, const std::function<bool()> &at_work = {});
    ~journal_replica();
    journal_replica(const journal_replica &) = delete;
    journal_replica &operator=(const journal_replica &) = delete;

    /// Returns the position of the last durable change.
    const replica_position &position() const noexcept { return position_; }

    /// Applies changes that lead from one revision to a position. Several may be under way: if one fails, so do those that
    /// build on it. `done` as all callbacks here: once, from the loop, in the order of the calls. Nobody may write to the
    /// changes until then.
    void apply(std::shared_ptr<const replica_changes> changes, std::uint64_t from, replica_position to, done_fn done);

    // Another content beside the one that is read, until it is whole and takes its place.

    void begin_shadow(done_fn done); ///< drops the one before
    void add_to_shadow(replica_changes changes, done_fn done);
    void swap_shadow(replica_position to, done_fn done);

    // What is in this file only.

    void remember_gateway(const std::string &gateway, const std::string &processes);
    void forget_gateway(const std::string &gateway);

    journal_reader &read() noexcept { return reader_; }

    /// Returns how many tasks are unfinished.
    std::size_t count_unfinished() const noexcept { return open_.count(); }

    /// Returns whether anything is under way or waiting. Before the replica is destroyed, the loop must run until
    /// nothing is.
    bool busy() const noexcept { return committer_.busy() || reader_.busy(); }

  private:
    class statements;
    class change;
    class application;
    class shadow_start;
    class shadow_page;
    class shadow_swap;

    void end_batch(const commit_batch &batch);
    void note_damage(const outcome &why);

    std::string path_;
    bool is_damaged_ = false; ///< a write has found so
    journal_file file_;       ///< its `writer` belongs to the committer from the first write on
    replica_position position_;
    open_tasks open_;
    std::unique_ptr<statements> statements_; ///< used by the committer's thread
    checkpoints checkpoints_;
    committer committer_;
    journal_reader reader_;
};

} // namespace rollout
