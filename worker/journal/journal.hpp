// The journal: what rolloutd knows for good. Tasks, models and the gateways that it has met; nothing here knows how a
// rollout goes.
//
// Every change gets the next revision, a counter that only grows, over restarts too. A replica asks for what came after
// the revision that it has. The interface does not assume that this process is the only writer.
#pragma once

#include "worker/async/outcome.hpp"
#include "worker/domain/model.hpp"
#include "worker/domain/task.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace rollout {

/// A task as it is stored: its document as text, and what a replica needs to know of it.
struct task_row {
    std::uint64_t sequence = 0;
    std::uint64_t revision = 0;
    task_kind kind = task_kind::deploy;
    task_status status = task_status::pending;
    std::string task_id;
    std::string model_id;
    std::string document;
};

/// Which tasks a list holds: those accepted before that sequence (0: all), newest first.
struct task_filter {
    task_kind kind = task_kind::deploy;
    std::optional<task_status> status;
    std::string model_id; ///< empty: of all
    std::uint64_t before = 0;
};

/// The last task that a purge has looked at, in the order of their last changes.
struct purge_position {
    std::int64_t updated_us = INT64_MIN;
    std::uint64_t sequence = 0;
};

/// A gateway that was linked.
struct known_gateway {
    std::string id;
    std::string processes; ///< `peer_processes::text()`
};

struct purge_step {
    purge_position scanned_up_to;
    std::uint64_t removed = 0;
    bool more = false; ///< there are others behind these
};

/// Reads the task of a row; nothing if the document cannot be read. Throws std::bad_alloc: memory that is out damages no document.
std::optional<task> task_of(const task_row &row);

/// The row of a task that was written with that revision.
task_row row_of(const task &from, std::uint64_t revision);

/// On the loop's thread; every callback comes from the loop, in the order of the calls of its kind.
class journal {
  public:
    virtual ~journal() = default;

    /// 32 characters, made with the journal: another id is another journal.
    virtual const std::string &id() const = 0;

    /// The last change that is durable.
    virtual std::uint64_t revision() const = 0;

    // Writing. A callback with `ok` means that the change survives any crash.

    enum class creation {
        created,
        existed,  ///< the same task was there: a client asks again
        conflict, ///< another task has that id
        absent,   ///< `create` was told to only look
    };
    using created_fn = std::function<void(outcome, creation, const task_row &)>;
    using saved_fn = std::function<void(outcome, std::uint64_t revision)>;

    /// Stores a new task, unless its id is taken. With `only_find` nothing is stored. The row is the task that has the id, or
    /// would have it.
    virtual void create(const task &wanted, bool only_find, created_fn done) = 0;

    /// Stores a task's new state, and its model's with it if one is given: both or neither.
    virtual void save(const task &changed, const model *with, saved_fn done) = 0;

    /// Stores a model's state alone.
    virtual void save_model(const model &changed, saved_fn done) = 0;

    /// A gateway that is to be waited for, over a restart too; `processes` takes the place of what was noted of it before.
    virtual void remember_gateway(const std::string &gateway, const std::string &processes) = 0;
    virtual void forget_gateway(const std::string &gateway) = 0;

    /// Looks at the next `rows` final tasks behind `from` that were last changed before that time, and removes those of them that
    /// are not the latest of their kind of a model that stands on a server.
    using purged_fn = std::function<void(outcome, const purge_step &)>;
    virtual void purge(purge_position from, std::int64_t before_us, std::size_t rows, purged_fn done) = 0;

    // Reading.

    using found_fn = std::function<void(outcome, std::optional<task_row>)>;

    virtual void find(const std::string &task_id, found_fn done) = 0;
    virtual void find_latest(task_kind kind, const std::string &model_id, found_fn done) = 0;

    /// Tasks changed after a revision, in the order of their revisions, up to about `max_bytes` of documents.
    virtual void read_after(std::uint64_t revision, std::size_t max_bytes,
                            std::function<void(outcome, std::vector<task_row>)> done) = 0;

    /// Up to `limit` tasks, or up to `max_bytes` of documents if there is more than one. `more`: others follow.
    using listed_fn = std::function<void(outcome, std::vector<task_row>, bool more)>;
    virtual void list(const task_filter &which, std::size_t limit, std::size_t max_bytes, listed_fn done) = 0;

    /// Models of which something stands on a server, in the order of their ids, after that one.
    using models_fn = std::function<void(outcome, std::vector<model>, bool more)>;
    virtual void list_models(const std::string &after, std::size_t limit, models_fn done) = 0;

    /// How many tasks there are, beside all else: it takes the longer the more there are.
    virtual void count_tasks(std::function<void(outcome, std::uint64_t count)> done) = 0;

    // At start, before the loop runs.

    virtual std::vector<task_row> unfinished() = 0; ///< in the order of acceptance
    virtual std::vector<model> models() = 0;
    virtual std::vector<known_gateway> gateways() = 0;

    /// Called after each commit, behind the callbacks of what it wrote, with what changed, in the order of the revisions: the
    /// news for the replicas.
    std::function<void(const std::vector<task_row> &rows, std::uint64_t before, std::uint64_t now)> on_commit;

    /// Called after each try to commit: what it took, and whether it went well.
    std::function<void(std::chrono::nanoseconds took, bool ok)> on_attempt;
};

} // namespace rollout
