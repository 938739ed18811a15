// The journal: rolloutd's durable state. It stores tasks, models and known gateways, and knows nothing of how a
// rollout proceeds.
//
// Every change gets the next revision, a counter that only grows, also across restarts. A replica asks for the
// changes after the revision that it has. The interface does not assume that this process is the only writer.
#pragma once

#include "worker/async/outcome.hpp"
#include "worker/domain/model.hpp"
#include "worker/domain/task.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace rollout {

/// A task as it is stored: its document as text, and what a replica needs to know about it.
struct task_row {
    std::uint64_t sequence = 0;
    std::uint64_t revision = 0;
    task_kind kind = task_kind::deploy;
    task_status status = task_status::pending;
    std::string task_id;
    std::string model_id;
    std::string document;
};

/// The tasks in a list: those accepted before that sequence (0: all), newest first.
struct task_filter {
    task_kind kind = task_kind::deploy;
    std::optional<task_status> status;
    std::string model_id; ///< empty: any
    std::uint64_t before = 0;
};

/// The last task that a purge has checked, in the order of the tasks' last changes.
struct purge_position {
    std::int64_t updated_us = INT64_MIN;
    std::uint64_t sequence = 0;
};

/// A gateway that has been linked.
struct known_gateway {
    std::string id;
    std::string processes; ///< `peer_processes::text()`
};

/// The series of a deployment, as it was last stored.
struct stored_series {
    std::string model_id;
    std::string document; ///< of rollout_series; empty: none is stored
};

struct purge_step {
    purge_position scanned_up_to;
    std::uint64_t removed = 0;
    bool more = false; ///< there are more after these
};

/// What a commit has changed.
struct journal_news {
    std::vector<task_row> rows = {}; ///< in the order of their revisions
    std::vector<model> models = {};  ///< the same; their `route_revision` is that of the write
    std::uint64_t before = 0;        ///< the journal's revision before the commit
    std::uint64_t now = 0;           ///< and after it
};

/// Returns whether the task is as it was accepted.
inline bool is_new(const task_row &row) noexcept
{
    return row.sequence == row.revision;
}

/// Reads the task of a row; no value if the document cannot be read. Throws std::bad_alloc, as lack of memory does
/// not mean that the document is damaged.
std::optional<task> task_of(const task_row &row);

/// Returns the row of a task that was written with that revision.
task_row row_of(const task &from, std::uint64_t revision);

/// Returns whether both tasks were asked for by the same request: a client repeats it. Throws std::bad_alloc.
bool same_request(const task_row &row, const task_row &other);

/// Used on the loop's thread; every callback comes from the loop, in the order of the calls of its kind.
class journal {
  public:
    virtual ~journal() = default;

    /// Returns 32 characters that were generated with the journal: a different id means a different journal.
    virtual const std::string &id() const = 0;

    /// Returns the revision of the last durable change.
    virtual std::uint64_t revision() const = 0;

    /// Returns whether other processes write to it as well.
    virtual bool is_shared() const { return false; }

    /// Returns whether it is known to have what others have written, but for what was written a moment ago.
    virtual bool is_current() const { return true; }

    // Writing. A callback with `ok` means that the change survives any crash; one with `lost` that another rolloutd leads
    // now, or has written the row since: nothing was stored, and the write must not be repeated. What this rolloutd
    // knows of the task or the model is out of date then. Only a journal that several rolloutds share loses writes.

    enum class creation {
        created,
        existed,  ///< the same task was there: a client repeats its request
        conflict, ///< another task has that id
        absent,   ///< there is no such task, and `create` was only to find it
    };
    using created_fn = std::function<void(outcome, creation, const task_row &)>;
    using saved_fn = std::function<void(outcome, std::uint64_t revision)>;

    /// Stores a new task, unless its id is taken. With `only_find`, nothing is stored. The row is the task that has
    /// the id, or would have it.
    virtual void create(const task &wanted, bool only_find, created_fn done) = 0;

    /// Stores a task's new state, and also its model's if one is given: both or neither.
    virtual void save(const task &changed, const model *with, saved_fn done) = 0;

    /// Stores only a model's state.
    virtual void save_model(const model &changed, saved_fn done) = 0;

    /// Stores a gateway that must be waited for, also across a restart; `processes` replaces what was stored for it
    /// before.
    virtual void remember_gateway(const std::string &gateway, const std::string &processes) = 0;
    virtual void forget_gateway(const std::string &gateway) = 0;

    /// Checks the next `rows` final tasks after `from` that were last changed before that time, and removes them,
    /// except for the latest task of its kind of a model that is on a server.
    using purged_fn = std::function<void(outcome, const purge_step &)>;
    virtual void purge(purge_position from, std::int64_t before_us, std::size_t rows, purged_fn done) = 0;

    /// Stores the series of a deployment, instead of the one before; nothing if there is no such task. Those of the last `series_of_model` deployments of
    /// a model that have one are kept, and `series_in_all`. A series is no news for replicas.
    virtual void save_series(const std::string &task_id, const std::string &model_id, std::string document,
                             std::function<void(outcome)> done) = 0;
    static constexpr std::size_t series_of_model = 20;
    static constexpr std::size_t series_in_all = 1000;

    // Reading.

    using found_fn = std::function<void(outcome, std::optional<task_row>)>;

    virtual void find(const std::string &task_id, found_fn done) = 0;
    virtual void find_latest(task_kind kind, const std::string &model_id, found_fn done) = 0;

    /// Reads the series of a deployment; nothing if there is no such deployment.
    using series_fn = std::function<void(outcome, std::optional<stored_series>)>;
    virtual void find_series(const std::string &task_id, series_fn done) = 0;

    /// Reads the tasks changed after a revision, in the order of their revisions, up to about `max_bytes` of
    /// documents.
    virtual void read_after(std::uint64_t revision, std::size_t max_bytes,
                            std::function<void(outcome, std::vector<task_row>)> done) = 0;

    /// Reads up to `limit` tasks, or up to `max_bytes` of documents if there is more than one. `more`: others follow.
    using listed_fn = std::function<void(outcome, std::vector<task_row>, bool more)>;
    virtual void list(const task_filter &which, std::size_t limit, std::size_t max_bytes, listed_fn done) = 0;

    /// Reads the models that have something on a server, in the order of their ids, after that one.
    using models_fn = std::function<void(outcome, std::vector<model>, bool more)>;
    virtual void list_models(const std::string &after, std::size_t limit, models_fn done) = 0;

    // Reading what a rolloutd needs that starts, or that takes the tasks over: at any time, also while others write.
    // full_reads.hpp reads all pages.

    /// Returns how many tasks are unfinished.
    virtual std::size_t count_unfinished() const = 0;

    /// Reads the unfinished tasks that were accepted after that sequence, in the order of acceptance, up to about
    /// `max_bytes` of documents. `more`: there may be others.
    virtual void list_unfinished(std::uint64_t after, std::size_t max_bytes, listed_fn done) = 0;

    /// Like `list_models`, but with the models of which only the number of the last revision is left. Fails for good if
    /// the entry of one cannot be read.
    virtual void list_all_models(const std::string &after, std::size_t limit, models_fn done) = 0;

    virtual void list_gateways(std::function<void(outcome, std::vector<known_gateway>)> done) = 0;

    /// Counts the tasks, concurrently with all other work: the more there are, the longer it takes.
    virtual void count_tasks(std::function<void(outcome, std::uint64_t count)> done) = 0;

    /// Called after each commit, after the callbacks of its writes, whoever has made them: the news for replicas, routes
    /// and queues.
    std::function<void(const journal_news &)> on_commit;

    /// Called after each attempt to commit, with its duration and whether it succeeded.
    std::function<void(std::chrono::nanoseconds took, bool ok)> on_attempt;
};

} // namespace rollout
