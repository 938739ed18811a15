// What rolloutd's frames do to the shared memory: the tasks and routes of its journal, of which the zone holds a replica.
//
// Knows no connection and nobody who asks. A process that holds the stream of changes fills the zone for all others; any process puts
// in what it was answered. Each function takes the writers' lock for itself, and none ends with it held.
#pragma once

#include "common/base/json.hpp"
#include "common/domain/route.hpp"
#include "module/nginx/ngx.hpp"
#include "module/tables/task_table.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

namespace rollout {

class shared_zone;
class zone_writer;

/// Why the link cannot go on, in words for the log; nothing when it can.
using link_fault = std::optional<std::string>;

class replica {
  public:
    replica(shared_zone &zone, ngx_log_t *log) noexcept : zone_(zone), log_(log) {}
    replica(const replica &) = delete;
    replica &operator=(const replica &) = delete;

    /// Up to where the zone is filled, and from which journal.
    struct position {
        std::string journal;
        std::uint64_t revision = 0;
    };

    /// Begins a stream, with what the hello says. What comes in before its welcome was sent to an earlier hello.
    position greet();

    /// The connection has ended, and the stream with it.
    void end_stream() noexcept;

    /// A `welcome`: of a journal, which may be another one than that of the zone's tasks, or an earlier copy of it. Then the tasks
    /// go; the routes stay in force until rolloutd has sent its own.
    link_fault on_welcome(const json_t *message);

    struct update_result {
        link_fault fault{};
        bool is_to_greet =
            false; ///< the zone lacks something that this stream does not bring: rolloutd is asked anew
    };

    /// An `update`: tasks that have changed, and how far the zone is filled with them.
    update_result on_update(const json_t *message, std::string_view lines);

    struct routes_result {
        link_fault fault{};
        std::optional<std::uint64_t> in_force{}; ///< rolloutd's routes up to there are in force now
        std::vector<route> routes{};             ///< those that came
    };

    /// `routes`: a part of a full set, which comes behind a welcome, or routes that have changed. Changes nothing if one of them is
    /// faulty. Those that are older than what another process has put in force are left aside.
    routes_result on_routes(const json_t *message);

    /// A task that rolloutd has accepted, or has changed as a client wished. If the zone cannot be written, the table lacks it until
    /// the next hello's stream brings it.
    link_fault on_accepted(const task_record &task);

    /// A task that was there when its client posted it again. The table may lack it until the stream brings it, if it was posted by
    /// a worker process that was killed before the answer came; who reads it before shall find it.
    void on_existing(const task_record &task) noexcept;

    /// A task that was looked up.
    link_fault on_found(const task_record &task);

  private:
    /// What this process's connection brings.
    enum class stream_state {
        off,       ///< no changes: another process's does
        greeting,  ///< nothing yet that counts: the hello has no answer
        streaming, ///< the changes since the hello
    };

    /// Where a full set of routes is.
    enum class route_set {
        none,            ///< routes that come are changes
        receiving,       ///< a part has come
        receiving_stale, ///< it is older than what is in force: all of it is left aside
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
    std::uint64_t welcomed_at_ = 0; ///< rolloutd's revision then
    std::uint64_t brought_ = 0; ///< the table held the tasks up to here at the hello, or since then by this stream

    route_set set_ = route_set::none;
    std::unordered_set<std::string> names_in_set_;
};

} // namespace rollout
