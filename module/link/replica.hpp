// Applies rolloutd's frames to the shared memory: the zone holds a replica of the tasks and routes of rolloutd's
// journal.
//
// Independent of connections and of clients. The process that holds the stream of changes fills the zone for all
// others; any process adds the tasks in its own answers. Each function takes the writers' lock by itself, and
// releases it before it returns.
#pragma once

#include "common/base/json.hpp"
#include "common/domain/route.hpp"
#include "module/nginx/ngx.hpp"
#include "module/tables/task_table.hpp"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

namespace rollout {

class shared_zone;
class zone_writer;

/// Why the link cannot continue, as text for the log; nothing if it can.
using link_fault = std::optional<std::string>;

class replica {
  public:
    replica(shared_zone &zone, ngx_log_t *log) noexcept : zone_(zone), log_(log) {}
    replica(const replica &) = delete;
    replica &operator=(const replica &) = delete;

    /// The journal from which the zone is filled, and up to which revision.
    struct position {
        std::string journal;
        std::uint64_t revision = 0;
    };

    /// Begins a stream, and returns the position for the hello. Updates that arrive before its welcome belong to an
    /// earlier hello.
    position greet();

    /// Ends the stream, because its connection has ended.
    void end_stream() noexcept;

    /// Handles a `welcome`. If its journal is not that of the zone's tasks, or is an earlier copy of it, the tasks
    /// are removed; the routes stay in force until rolloutd has sent its own.
    link_fault on_welcome(const json_t *message);

    struct update_result {
        link_fault fault{};
        bool is_to_greet = false; ///< the zone lacks something that this stream does not bring: a new hello is needed
    };

    /// Handles an `update`: tasks that have changed, and up to where they fill the zone.
    update_result on_update(const json_t *message, std::string_view lines);

    struct routes_result {
        link_fault fault{};
        std::optional<std::uint64_t> in_force{}; ///< rolloutd's routes up to this revision are in force now
        std::vector<route> routes{};             ///< the routes of the frame
    };

    /// Handles `routes`: a part of a full set, which follows a welcome, or routes that have changed. Changes nothing
    /// if one of them is malformed. Ignores routes that are older than those that another process has put in force.
    routes_result on_routes(const json_t *message);

    /// Prepares for tasks that are handled next, all at a time.
    void expect(std::span<const task_record> next) const;

    /// Stores a task that rolloutd has accepted, or has changed at a client's request. If the zone cannot be written,
    /// the table lacks it until the stream of the next hello brings it.
    link_fault on_accepted(const task_record &task);

    /// Handles a task that already existed when its client posted it again. The table may lack it until the stream
    /// brings it, if it was posted through a worker process that was killed before the answer came. A client that
    /// reads it earlier must find it.
    void on_existing(const task_record &task) noexcept;

    /// Stores a task that was looked up.
    link_fault on_found(const task_record &task);

  private:
    /// The changes that this process's connection brings.
    enum class stream_state {
        off,       ///< none: another process receives the changes
        greeting,  ///< none that count: the hello has not been answered
        streaming, ///< the changes since the hello
    };

    /// The progress of a full set of routes.
    enum class route_set {
        none,            ///< routes that arrive are changes
        receiving,       ///< a part of the set has arrived
        receiving_stale, ///< the set is older than the routes in force, and is ignored
    };

    bool is_stale(std::uint64_t revision) noexcept;
    bool put_in_force(zone_writer &writer, const std::vector<route> &routes, bool ends);
    link_fault store(const task_record &task, bool only_over_older);

    shared_zone &zone_;
    ngx_log_t *log_;
    bool full_logged_ = false;

    stream_state stream_ = stream_state::off;
    std::uint32_t repairs_at_hello_ = 0;
    std::uint64_t epoch_at_hello_ = 0;
    std::uint64_t welcomed_at_ = 0; ///< rolloutd's revision at the welcome
    std::uint64_t brought_ = 0; ///< the table held all tasks up to here at the hello, or got them from this stream

    route_set set_ = route_set::none;
    std::unordered_set<std::string> names_in_set_;
};

} // namespace rollout
