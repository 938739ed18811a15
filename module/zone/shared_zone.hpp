// The shared memory of a gateway: where the tables lie in nginx's zone, its life through reloads, and the writers' lock.
//
// Fresh memory gets an id of its own, the gateway's: it names this instance of the tables to rolloutd. A reload with the
// same zone finds the memory as it was; a resized zone and a binary upgrade make a new one, and the old stands beside it
// until its last worker process ends.
#pragma once

#include "module/nginx/ngx.hpp"
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

/// What stands at the start of the memory. Its layout and that of all behind it is `layout_version`'s.
struct zone_header {
    static constexpr std::uint64_t magic_number = 0x74756f6c6c6f7267ULL;
    static constexpr std::uint32_t layout_version = 8;

    std::uint64_t magic;
    std::uint32_t layout;
    std::uint32_t repairs;         ///< times that a killed writer's traces were cleared; then all is fetched anew
    char gateway[32];              ///< this memory's id
    char journal[32];              ///< whose tasks these are; all zero before the first link
    std::uint64_t revision;        ///< the tasks are complete up to here
    std::uint64_t routes_revision; ///< and the routes
    std::uint64_t evicted;         ///< tasks that had to go for want of room, since the table was last emptied
    std::uint32_t tasks_complete;  ///< a `shared_zone::completeness`
    std::uint32_t routes_known;    ///< a route_source
    std::uint64_t records_offset;
    std::uint64_t in_flight_offset;
    std::uint64_t traffic_offset;
    std::uint64_t completeness_epoch; ///< times that what the table holds was found to be perhaps not all
    std::uint64_t meters_offset;
    std::uint64_t state_writes; ///< writes of the state file that have begun
    std::uint64_t state_named;  ///< the latest of them that has its file under the name
    task_counts tasks;
};

/// Where a full set of routes came from.
enum class route_source : std::uint32_t {
    none,
    rolloutd,
    state_file, ///< which may be old: it counts while rolloutd cannot be asked
};

class shared_zone {
  public:
    /// The least size of a zone.
    static constexpr std::size_t min_bytes = 128 * 1024;

    /// The zone's `init` callback for nginx. `zone->data` is the shared_zone of this configuration, `old` that of the one
    /// before or null.
    static ngx_int_t init(ngx_shm_zone_t *zone, void *old) noexcept;

    ngx_str_t name{};
    ngx_str_t state_file{};                ///< empty: none
    const ngx_core_conf_t *core = nullptr; ///< where `worker_processes` stands once all is read

    ngx_slab_pool_t *pool = nullptr;
    zone_header *header = nullptr;
    void *records = nullptr;
    void *in_flight = nullptr;
    void *traffic = nullptr;
    void *meters = nullptr;

    std::string_view journal() const noexcept;
    std::string_view gateway() const noexcept { return {header->gateway, sizeof(header->gateway)}; }

    /// A miss in the table means that there is no such task.
    bool tasks_known() const noexcept;

    /// The stream has brought all, and nobody may have made a task since that the table lacks: what it has of a model is its
    /// latest.
    bool tasks_filled() const noexcept;

    /// The stream has brought all that there was. A task that another gateway has made since may be lacking.
    bool tasks_brought() const noexcept;

    /// There may be a task that the table does not hold, until a stream that begins after this says that it has brought all.
    void doubt_tasks() noexcept;

    /// The stream has brought all. False if the table became incomplete after it began (`completeness_epoch`): then a miss proves nothing.
    bool fill_tasks(std::uint64_t epoch_before) noexcept;

    /// The stream has brought all that there was, and there is another gateway.
    void note_brought_tasks() noexcept;

    /// All is to be fetched anew; by a writer, before it empties the table: a reader that misses what goes then asks.
    void forget_tasks() noexcept;

    std::uint64_t completeness_epoch() const noexcept;

    /// Tasks that had to go for want of room, and times that a killed writer's traces were cleared.
    std::uint64_t evicted_tasks() const noexcept;
    std::uint32_t repairs() const noexcept;

    /// The journal's revision that the stream has brought the tasks up to.
    std::uint64_t tasks_revision() const noexcept;

    /// Of rolloutd's routes: those in the table are as they were then, or later.
    std::uint64_t routes_revision() const noexcept;

    /// The routes are rolloutd's: a miss in the table means that there is no such model.
    bool routes_known() const noexcept;

    /// The routes are those that the state file had when the memory was fresh, and rolloutd has sent none since.
    bool routes_are_of_file() const noexcept;

    void set_route_source(route_source from) noexcept;

    // Several processes may write the state file at a time: one that has lost the link, and the one that has it now. From any thread.

    /// The number of a write of the state file that begins now: it holds all that was in force before, and so all that writes of lower
    /// numbers had to hold.
    std::uint64_t begin_state_write() noexcept;

    /// The highest number of a write whose file has got the name.
    std::uint64_t named_state_write() const noexcept;

    /// The file of that write has the name.
    void note_named_state(std::uint64_t write) noexcept;

  private:
    /// Of the table of tasks.
    enum completeness : std::uint32_t {
        unfilled, ///< the stream has not reached the journal's end
        whole,    ///< it has: a miss proves that there is no such task
        brought,  ///< it has, but there may be a task since that the table lacks
    };

    ngx_int_t format(ngx_shm_zone_t *zone) noexcept;
    void find_tables() noexcept;
};

/// The writers' lock: nginx's slab mutex of the zone, held from making to end. It clears the traces of a writer that was
/// killed, and does not wait for a dead process (nginx's master frees the mutex of its own dead workers, but not in a
/// memory that a reload has left behind).
class zone_writer {
  public:
    explicit zone_writer(shared_zone &zone) noexcept;
    ~zone_writer();
    zone_writer(const zone_writer &) = delete;
    zone_writer &operator=(const zone_writer &) = delete;

    /// False when the mutex could not be had within a second: the table stays as it is.
    explicit operator bool() const noexcept { return locked_; }

    task_table tasks() noexcept { return task_table(store_, &zone_.header->tasks); }
    route_table routes() noexcept { return route_table(store_, &meters_); }

  private:
    shared_zone &zone_;
    record_store store_;
    route_metrics meters_;
    int exceptions_;
    bool locked_ = false;
};

/// Reads without a lock, and with it in the rare case that a killed writer left its bucket closed.
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

/// Is there a process of that number?
bool is_alive(pid_t pid) noexcept;

} // namespace rollout
