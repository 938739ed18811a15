#include "module/zone/shared_zone.hpp"

#include "common/domain/identifiers.hpp"
#include "module/tables/shared_counter.hpp"
#include "module/zone/state_file.hpp"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <exception>

#include <sched.h>
#include <time.h>

namespace rollout {

namespace {

/// How long a writer waits for others. Each holds the mutex for microseconds; a repair takes milliseconds.
constexpr long lock_wait_ms = 1000;


long monotonic_ms() noexcept
{
    timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}


/// Returns how many stripes a table of counters has within `bytes`: one for each worker process, unless that leaves room
/// for fewer than `least` entries.
std::size_t stripes_within(std::size_t bytes, std::size_t processes, std::size_t least,
                           std::size_t (*bytes_for)(std::size_t entries, std::size_t stripes)) noexcept
{
    std::size_t stripes = std::min(processes, max_stripes);
    while (stripes > 1 && bytes / bytes_for(1, stripes) < least) {
        stripes /= 2;
    }
    return stripes;
}


template <class T>
T read_shared(T &value) noexcept
{
    return std::atomic_ref<T>(value).load(std::memory_order_acquire);
}

} // namespace


bool is_alive(pid_t pid) noexcept
{
    return kill(pid, 0) == 0 || errno != ESRCH;
}


std::string_view shared_zone::journal() const noexcept
{
    return header->journal[0] == '\0' ? std::string_view()
                                      : std::string_view(header->journal, sizeof(header->journal));
}


bool shared_zone::tasks_known() const noexcept
{
    return tasks_filled() && evicted_tasks() == 0;
}


std::uint64_t shared_zone::evicted_tasks() const noexcept
{
    return read_shared(header->evicted);
}


std::uint32_t shared_zone::repairs() const noexcept
{
    return read_shared(header->repairs);
}


bool shared_zone::tasks_filled() const noexcept
{
    return read_shared(header->tasks_complete) == whole;
}


bool shared_zone::tasks_brought() const noexcept
{
    return read_shared(header->tasks_complete) != unfilled;
}


void shared_zone::mark_incomplete() noexcept
{
    std::atomic_ref(header->completeness_epoch).fetch_add(1);
    std::uint32_t expected = whole;
    std::atomic_ref(header->tasks_complete).compare_exchange_strong(expected, brought);
}


bool shared_zone::fill_tasks(std::uint64_t epoch_before) noexcept
{
    std::atomic_ref(header->tasks_complete).store(whole);
    if (completeness_epoch() == epoch_before) { // read after the store: a later mark_incomplete undoes it
        return true;
    }
    std::atomic_ref(header->tasks_complete).store(brought);
    return false;
}


void shared_zone::note_brought_tasks() noexcept
{
    std::uint32_t expected = unfilled;
    std::atomic_ref(header->tasks_complete).compare_exchange_strong(expected, brought);
}


void shared_zone::forget_tasks() noexcept
{
    std::atomic_ref(header->tasks_complete).store(unfilled);
    header->revision = 0;
}


std::uint64_t shared_zone::completeness_epoch() const noexcept
{
    return std::atomic_ref(header->completeness_epoch).load();
}


std::uint64_t shared_zone::tasks_revision() const noexcept
{
    return read_shared(header->revision);
}


std::uint64_t shared_zone::routes_revision() const noexcept
{
    return read_shared(header->routes_revision);
}


bool shared_zone::routes_known() const noexcept
{
    return read_shared(header->routes_known) == static_cast<std::uint32_t>(route_source::rolloutd);
}


bool shared_zone::routes_are_of_file() const noexcept
{
    return read_shared(header->routes_known) == static_cast<std::uint32_t>(route_source::state_file);
}


void shared_zone::set_route_source(route_source from) noexcept
{
    std::atomic_ref(header->routes_known).store(static_cast<std::uint32_t>(from));
}


std::uint64_t shared_zone::routes_until() const noexcept
{
    return read_shared(header->routes_until);
}


bool shared_zone::routes_may_be_used(std::uint64_t now_ms) const noexcept
{
    const auto until = routes_until();
    return until == 0 || now_ms <= until;
}


bool shared_zone::set_routes_until(std::uint64_t until_ms) noexcept
{
    constexpr std::uint64_t behind_at_most_ms = 30000;
    std::atomic_ref(header->routes_until).store(until_ms);
    std::atomic_ref kept(header->state_until);
    auto known = kept.load();
    const bool is_near = (until_ms == 0) == (known == 0) && until_ms <= known + behind_at_most_ms;
    return !is_near && kept.compare_exchange_strong(known, until_ms);
}


std::uint64_t shared_zone::begin_state_write() noexcept
{
    return std::atomic_ref(header->state_writes).fetch_add(1) + 1;
}


std::uint64_t shared_zone::named_state_write() const noexcept
{
    return std::atomic_ref(header->state_named).load();
}


void shared_zone::note_named_state(std::uint64_t write) noexcept
{
    std::atomic_ref named(header->state_named);
    for (auto known = named.load(); known < write && !named.compare_exchange_weak(known, write);) {
    }
}


ngx_int_t shared_zone::init(ngx_shm_zone_t *zone, void *old) noexcept
{
    auto *self = static_cast<shared_zone *>(zone->data);
    self->pool = reinterpret_cast<ngx_slab_pool_t *>(zone->shm.addr);

    // A reload: the memory is kept as it is.
    if (old != nullptr) {
        const auto *before = static_cast<shared_zone *>(old);
        if (before->header->magic != zone_header::magic_number ||
            before->header->layout != zone_header::layout_version) {
            ngx_log_error(NGX_LOG_EMERG, zone->shm.log, 0,
                          "rollout_zone \"%V\" holds memory of another version of the module: restart nginx, or do a "
                          "binary upgrade, instead of a reload",
                          &zone->shm.name);
            return NGX_ERROR;
        }
        self->header = before->header;
        self->find_tables();
        return NGX_OK;
    }

    // Memory that exists already: nginx does this on systems where processes do not inherit it.
    if (zone->shm.exists) {
        self->header = static_cast<zone_header *>(self->pool->data);
        self->find_tables();
        return NGX_OK;
    }

    return self->format(zone);
}


void shared_zone::find_tables() noexcept
{
    auto *base = reinterpret_cast<unsigned char *>(header);
    records = base + header->records_offset;
    in_flight = base + header->in_flight_offset;
    traffic = base + header->traffic_offset;
    meters = base + header->meters_offset;
    events = base + header->events_offset;
}


ngx_int_t shared_zone::format(ngx_shm_zone_t *zone) noexcept
{
    // One allocation takes all the memory: the tables manage it themselves, in a way that a killed process cannot
    // corrupt.
    const std::size_t bytes = (pool->pfree > 2 ? pool->pfree - 1 : 0) * ngx_pagesize;
    // Room for two generations of worker processes at a time, and some that take long to exit.
    const auto processes = static_cast<std::size_t>(std::max<ngx_int_t>(core->worker_processes, 1));
    const std::size_t sheets = std::clamp<std::size_t>(4 * processes + 16, 32, 1024);
    // A revision in flight takes 16 bytes and a third of a ladder.
    const std::size_t per_sheet = std::clamp<std::size_t>(bytes / 16 / sheets / 43, 4, 4096);
    const std::size_t in_flight_bytes = whole_lines(in_flight_table::bytes_for(sheets, per_sheet));
    // A rollout needs two; more rollouts at a time than this are rare.
    const std::size_t gate_stripes = stripes_within(bytes / 16, processes, 64, gate_counters::bytes_for);
    const std::size_t revisions =
        std::clamp<std::size_t>(bytes / 16 / gate_counters::bytes_for(1, gate_stripes), 3, 4096);
    const std::size_t traffic_bytes = whole_lines(gate_counters::bytes_for(revisions, gate_stripes));
    const std::size_t meter_stripes = stripes_within(bytes / 20, processes, 512, route_metrics::bytes_for);
    const std::size_t metered = std::clamp(bytes / 20 / route_metrics::bytes_for(1, meter_stripes),
                                           route_metrics::min_places, route_metrics::max_places);
    const std::size_t meter_bytes = whole_lines(route_metrics::bytes_for(metered, meter_stripes));
    // The smallest zones have room for a few: a client that is not quick begins anew.
    const std::size_t kept_events =
        std::clamp((bytes / 32 - std::min<std::size_t>(bytes / 32, 3072)) / sizeof(change), event_ring::min_entries,
                   event_ring::max_entries);
    const std::size_t event_bytes = whole_lines(event_ring::bytes_for(kept_events));
    const std::size_t head_bytes = whole_lines(sizeof(zone_header));

    if (bytes < head_bytes + in_flight_bytes + traffic_bytes + meter_bytes + event_bytes + record_store::min_bytes) {
        ngx_log_error(NGX_LOG_EMERG, zone->shm.log, 0, "rollout_zone \"%V\" is too small for %uz worker processes",
                      &zone->shm.name, processes);
        return NGX_ERROR;
    }
    auto *base = static_cast<unsigned char *>(ngx_slab_alloc(pool, bytes));
    if (base == nullptr) {
        return NGX_ERROR;
    }

    std::memset(base, 0, head_bytes);
    header = new (base) zone_header{};
    header->in_flight_offset = head_bytes;
    header->traffic_offset = head_bytes + in_flight_bytes;
    header->meters_offset = header->traffic_offset + traffic_bytes;
    header->events_offset = header->meters_offset + meter_bytes;
    header->records_offset = header->events_offset + event_bytes;
    find_tables();
    in_flight_table::format(in_flight, sheets, per_sheet);
    gate_counters::format(traffic, revisions, gate_stripes);
    route_metrics::format(meters, metered, meter_stripes);
    event_ring::format(events, kept_events);
    record_store::format(records, bytes - header->records_offset);

    try {
        const std::string id = new_instance_id();
        std::memcpy(header->gateway, id.data(), sizeof(header->gateway));
        if (state_file.len != 0) {
            read_state_file(*this, zone->shm.log);
        }
    } catch (const std::exception &error) {
        ngx_log_error(NGX_LOG_EMERG, zone->shm.log, 0, "rollout_zone \"%V\": %s", &zone->shm.name, error.what());
        return NGX_ERROR;
    }

    header->layout = zone_header::layout_version;
    header->magic = zone_header::magic_number;
    pool->data = header;
    return NGX_OK;
}


zone_writer::zone_writer(shared_zone &zone) noexcept
    : zone_(zone), store_(zone.records), meters_(zone.meters), events_(zone.events),
      exceptions_(std::uncaught_exceptions())
{
    ngx_shmtx_t *mutex = &zone.pool->mutex;
    const long deadline = monotonic_ms() + lock_wait_ms;
    for (unsigned attempt = 1; !ngx_shmtx_trylock(mutex); ++attempt) {
        if (attempt % 16 == 0) { // on a machine that has much else to do, a yield may last for a time slice of others
            const auto holder = static_cast<pid_t>(*mutex->lock);
            if (holder != 0 && !is_alive(holder)) {
                ngx_shmtx_force_unlock(mutex, holder);
            } else if (monotonic_ms() > deadline) {
                ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0,
                              "rollout: process %P has held the mutex of zone \"%V\" for a second", holder,
                              &zone.name);
                return;
            }
        }
        sched_yield();
    }
    locked_ = true;

    if (!store_.begin_write()) {
        zone.forget_tasks();
        zone.header->routes_revision = 0;
        store_.repair();
        tasks().rebuild_models(zone.header->evicted);
        routes().release_meters();
        ++zone.header->repairs;
        events_.add_all(); // that writer may have made a change without its event
        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      "rollout: a process died while it wrote to zone \"%V\"; the zone is whole again (%uz tasks), "
                      "everything is fetched from rolloutd again",
                      &zone.name, store_.count(record_map::tasks));
    }
}


zone_writer::~zone_writer()
{
    if (!locked_) {
        return;
    }
    // An exception in the middle of a write is like a crash there: the next writer repairs.
    if (std::uncaught_exceptions() == exceptions_) {
        store_.end_write();
    }
    ngx_shmtx_unlock(&zone_.pool->mutex);
}

} // namespace rollout
