// What the module calls of nginx, for a test without it: a zone in plain memory, timers that the test fires, a log that it reads.
// For a test's only file.
#pragma once

#include "module/nginx/ngx.hpp"
#include "module/zone/shared_zone.hpp"

#include <algorithm>
#include <memory>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include <time.h>

namespace fake_nginx {

inline ngx_atomic_t holder = 0; ///< of the zone's mutex, while another process has it
inline bool locked = false;     ///< by this one
inline bool held_by_another = false;
inline std::vector<std::string> logged; ///< the formats alone
inline std::set<ngx_event_t *> timers;
inline ngx_log_t log = [] {
    ngx_log_t of{};
    of.log_level = NGX_LOG_INFO;
    return of;
}();

inline ngx_event_t *event_of(ngx_rbtree_node_t *node)
{
    return reinterpret_cast<ngx_event_t *>(reinterpret_cast<u_char *>(node) - offsetof(ngx_event_t, timer));
}

/// As nginx does once its time is over.
inline void fire(ngx_event_t &timer)
{
    ngx_del_timer(&timer);
    timer.timedout = 1;
    timer.handler(&timer);
}

/// How often the log was told that; what was logged before is forgotten.
inline std::ptrdiff_t times_logged(std::string_view part)
{
    const auto lines = std::exchange(logged, {});
    return std::ranges::count_if(lines, [part](const auto &line) { return line.find(part) != std::string::npos; });
}

/// A zone as nginx's master would have made it.
class zone_memory {
  public:
    explicit zone_memory(std::size_t pages = 64)
        : memory_(static_cast<u_char *>(std::aligned_alloc(4096, pages * 4096)), &std::free), bytes_(pages * 4096)
    {
        static ngx_cycle_t cycle;
        cycle.log = &log;
        ngx_cycle = &cycle;
        of_test = this;
        core_.worker_processes = 1;
        pool_.pfree = pages;
        pool_.mutex.lock = &holder;
        zone.name = rollout::str_of("rollout");
        zone.core = &core_;
        ngx_shm_zone_t of{};
        of.data = &zone;
        of.shm.addr = reinterpret_cast<u_char *>(&pool_);
        of.shm.log = &log;
        if (rollout::shared_zone::init(&of, nullptr) != NGX_OK) {
            throw std::runtime_error("no zone");
        }
        logged.clear();
    }

    void *allocate(std::size_t size) { return size <= bytes_ ? memory_.get() : nullptr; }

    static inline zone_memory *of_test = nullptr;

    rollout::shared_zone zone;

  private:
    std::unique_ptr<u_char, decltype(&std::free)> memory_;
    std::size_t bytes_;
    ngx_core_conf_t core_{};
    ngx_slab_pool_t pool_{};
};

} // namespace fake_nginx


ngx_uint_t ngx_pagesize = 4096;
ngx_pid_t ngx_pid = 1;
volatile ngx_msec_t ngx_current_msec = 1;
volatile ngx_cycle_t *ngx_cycle;
ngx_rbtree_t ngx_event_timer_rbtree;

extern "C" {

void ngx_log_error_core(ngx_uint_t, ngx_log_t *, ngx_err_t, const char *format, ...)
{
    fake_nginx::logged.emplace_back(format);
}

void ngx_rbtree_insert(ngx_rbtree_t *, ngx_rbtree_node_t *node)
{
    fake_nginx::timers.insert(fake_nginx::event_of(node));
}

void ngx_rbtree_delete(ngx_rbtree_t *, ngx_rbtree_node_t *node)
{
    fake_nginx::timers.erase(fake_nginx::event_of(node));
}

ngx_uint_t ngx_shmtx_trylock(ngx_shmtx_t *)
{
    if (fake_nginx::held_by_another || fake_nginx::locked) {
        return 0;
    }
    fake_nginx::locked = true;
    return 1;
}

void ngx_shmtx_unlock(ngx_shmtx_t *)
{
    fake_nginx::locked = false;
}

ngx_uint_t ngx_shmtx_force_unlock(ngx_shmtx_t *, ngx_pid_t)
{
    return 0;
}

void *ngx_slab_alloc(ngx_slab_pool_t *, size_t size)
{
    return fake_nginx::zone_memory::of_test->allocate(size);
}

/// The system's clock, which goes on by a second with each look: nobody waits for a lock that is held.
int clock_gettime(clockid_t, timespec *now) noexcept
{
    static time_t seconds = 1;
    *now = {++seconds, 0};
    return 0;
}
}
