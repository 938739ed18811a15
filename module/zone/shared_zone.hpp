// The shared memory of a gateway: the location of the tables in nginx's zone, its lifetime across reloads, and the
// writers' lock.
//
// Fresh memory gets an id of its own, the gateway's, which identifies this instance of the tables to rolloutd. A
// reload with the same zone keeps the memory as it was. A resized zone or a binary upgrade creates a new one, and the
// old one remains next to it until its last worker process ends.
#pragma once

#include "module/nginx/ngx.hpp"
#include "module/tables/event_ring.hpp"
#include "module/tables/gate_counters.hpp"
#include "module/tables/in_flight_table.hpp"
#include "module/tables/record_store.hpp"
#include "module/tables/route_metrics.hpp"
#include "module/tables/route_table.hpp"
#include "module/tables/task_table.hpp"

#include <cstdint>
#include <optional>
#include <string_view>

namespace rollout {

/// The header at the start of the memory. `layout_version` stands for its layout and for that of everything after it.
struct zone_header {
    static constexpr std::uint64_t magic_number = 0x74756f6c6c6f7267ULL;
    static constexpr std::uint32_t layout_version = 11;

    std::uint64_t magic;
    std::uint32_t layout;
    std::uint32_t repairs;         ///< how often a killed writer's traces were removed; all is then fetched again
    char gateway[32];              ///< this memory's id
    char journal[32];              ///< the journal of these tasks; all zero before the first link
    std::uint64_t revision;        ///< the tasks are complete up to here
    std::uint64_t routes_revision; ///< the routes are complete up to here
    std::uint64_t evicted;         ///< tasks evicted to make room, since the table was last emptied
    std::uint32_t tasks_complete;  ///< a `shared_zone::completeness`
    std::uint32_t routes_known;    ///< a route_source
    std::uint64_t records_offset;
    std::uint64_t in_flight_offset;
    std::uint64_t traffic_offset;
    std::uint64_t completeness_epoch; ///< how often the table was marked as possibly incomplete
    std::uint64_t meters_offset;
    std::uint64_t events_offset;
    std::uint64_t state_writes; ///< writes of the state file that have been started
    std::uint64_t state_named;  ///< the latest of them that has been renamed to the state file
    std::uint64_t routes_until; ///< shared_zone::routes_until()
    std::uint64_t state_until;  ///< the same, as it was when the latest write of the state file began
    task_counts tasks;
};

/// The source of a full set of routes.
enum class route_source : std::uint32_t {
    none,
    rolloutd,
    state_file, ///< may be old: used while rolloutd cannot be asked
};

class shared_zone {
  public:
    /// The least size of a zone.
    static constexpr std::size_t min_bytes = 128 * 1024;

    /// The zone's `init` callback for nginx. `zone->data` is the shared_zone of this configuration, `old` that of the
    /// previous one or null.
    static ngx_int_t init(ngx_shm_zone_t *zone, void *old) noexcept;

    ngx_str_t name{};
    ngx_str_t state_file{};                ///< empty: none
    const ngx_core_conf_t *core = nullptr; ///< has `worker_processes` once the whole configuration is read

    ngx_slab_pool_t *pool = nullptr;
    zone_header *header = nullptr;
    void *records = nullptr;
    void *in_flight = nullptr;
    void *traffic = nullptr;
    void *meters = nullptr;
    void *events = nullptr;

    std::string_view journal() const noexcept;
    std::string_view gateway() const noexcept { return {header->gateway, sizeof(header->gateway)}; }

    /// Returns whether a task that is not in the table does not exist.
    bool tasks_known() const noexcept;

    /// Returns whether the stream has brought all tasks, and none can have been created since that the table lacks:
    /// the task that it has as a model's latest is the latest.
    bool tasks_filled() const noexcept;

    /// Returns whether the stream has brought all tasks that existed. The table may lack one that another gateway has
    /// created since.
    bool tasks_brought() const noexcept;

    /// Marks the table as possibly incomplete, until a stream that begins later has brought all tasks.
    void mark_incomplete() noexcept;

    /// Marks the table as complete, because the stream has brought all tasks. Returns false if the table became
    /// incomplete after the stream began (`completeness_epoch`): then a missing task proves nothing.
    bool fill_tasks(std::uint64_t epoch_before) noexcept;

    /// Notes that the stream has brought all tasks that existed, and that there is another gateway.
    void note_brought_tasks() noexcept;

    /// Causes everything to be fetched again. For a writer, before it empties the table, so that a reader that misses
    /// a removed task asks rolloutd.
    void forget_tasks() noexcept;

    std::uint64_t completeness_epoch() const noexcept;

    /// Return how many tasks were evicted to make room, and how often the traces of a killed writer were removed.
    std::uint64_t evicted_tasks() const noexcept;
    std::uint32_t repairs() const noexcept;

    /// Returns the journal's revision up to which the stream has brought the tasks.
    std::uint64_t tasks_revision() const noexcept;

    /// Returns a revision of rolloutd's routes: the routes in the table are of that revision or later.
    std::uint64_t routes_revision() const noexcept;

    /// Returns whether the routes are rolloutd's: then a model that is not in the table does not exist.
    bool routes_known() const noexcept;

    /// Returns whether the routes are those that the state file had when the memory was fresh, and rolloutd has sent
    /// none since.
    bool routes_are_of_file() const noexcept;

    void set_route_source(route_source from) noexcept;

    /// Returns until when requests may be routed, in ngx_current_msec's time (CLOCK_MONOTONIC); 0: for ever.
    std::uint64_t routes_until() const noexcept;
    bool routes_may_be_used(std::uint64_t now_ms) const noexcept;

    /// Returns whether the state file is to be written for it, by this process. It is not for each time that rolloutd
    /// says, but so that an nginx that starts has most of the time that is left.
    bool set_routes_until(std::uint64_t until_ms) noexcept;

    // Several processes may write the state file at a time: one that has lost the link, and the one that has it now.
    // These may be called from any thread.

    /// Returns the number of a write of the state file that begins now. It contains everything that was in force
    /// before, and so everything that writes of lower numbers had to contain.
    std::uint64_t begin_state_write() noexcept;

    /// Returns the highest number of a write whose file has been renamed to the state file.
    std::uint64_t named_state_write() const noexcept;

    /// Notes that the file of that write has been renamed to the state file.
    void note_named_state(std::uint64_t write) noexcept;

  private:
    /// The state of the table of tasks.
    enum completeness : std::uint32_t {
        unfilled, ///< the stream has not reached the journal's end
        whole,    ///< it has: a task that is missing does not exist
        brought,  ///< it has, but the table may lack a task created since
    };

    ngx_int_t format(ngx_shm_zone_t *zone) noexcept;
    void find_tables() noexcept;
};

/// The writers' lock: nginx's slab mutex of the zone, held from construction to destruction. It repairs what a killed
/// writer has left, and does not wait for a dead process. (nginx's master releases a mutex of its own dead workers,
/// but not in memory that a reload has left behind.)
class zone_writer {
  public:
    explicit zone_writer(shared_zone &zone) noexcept;
    ~zone_writer();
    zone_writer(const zone_writer &) = delete;
    zone_writer &operator=(const zone_writer &) = delete;

    /// Returns false if the mutex could not be acquired within a second: the table then stays as it is.
    explicit operator bool() const noexcept { return locked_; }

    /// Tasks are events once the table holds all that exist; until then, they are only the rest of these.
    task_table tasks() noexcept
    {
        return task_table(store_, &zone_.header->tasks, zone_.tasks_brought() ? &events_ : nullptr);
    }
    route_table routes() noexcept { return route_table(store_, &meters_, &events_); }

    /// Notes that anything may have changed.
    void note_all_changed() noexcept { events_.add_all(); }

  private:
    shared_zone &zone_;
    record_store store_;
    route_metrics meters_;
    event_ring events_;
    int exceptions_;
    bool locked_ = false;
};

/// Reads without a lock, or with it in the rare case that a killed writer left the bucket closed.
template <class Read>
record_store::found read_records(shared_zone &zone, Read read)
{
    record_store store(zone.records);
    auto found = read(store);
    if (found == record_store::found::busy) {
        const zone_writer writer(zone);
        if (writer) {
            found = read(store);
        }
    }
    return found;
}

/// Returns whether there is a process with that id.
bool is_alive(pid_t pid) noexcept;

} // namespace rollout
