// Keeps the state file up to date with the routes, off the event loop: a disk may be slow without delaying requests.
//
// A thread does each write, from reading the routes in shared memory to syncing the folder. Changes during a write go
// into the next one, a single write however many changes there are. The thread calls no function of nginx's and
// receives none of its signals. nginx's own thread pools are not suitable: a module cannot get one of fewer than 32
// threads unless it is configured.
#pragma once

#include "module/nginx/ngx.hpp"
#include "module/zone/shared_zone.hpp"
#include "module/zone/state_file.hpp"

#include <cstdint>
#include <functional>
#include <thread>

namespace rollout {

class state_writer {
  public:
    /// Calls `on_end(number)` when all writes up to that number have ended, successfully or not, from the event loop
    /// or from `finish`; it must not throw. Allocates no system resources before the first write.
    state_writer(shared_zone &zone, ngx_log_t *log, std::function<void(std::uint64_t)> on_end);

    /// Waits for the thread.
    ~state_writer();
    state_writer(const state_writer &) = delete;
    state_writer &operator=(const state_writer &) = delete;

    /// To be called when the routes have changed. Returns the number of the write that will contain the change;
    /// numbers grow. A failed write is logged, once, and retried every two seconds until it succeeds.
    std::uint64_t write() noexcept;

    /// To be called before this process ends: waits for the thread, and writes what has not been written yet.
    void finish() noexcept;

  private:
    static void on_wakeup(ngx_event_t *event) noexcept;
    static void on_timer(ngx_event_t *event) noexcept;

    void open_wakeup();
    void start() noexcept;
    void start_thread();
    bool prepare();
    void end() noexcept;
    void report() noexcept;
    void pause() noexcept;

    shared_zone &zone_;
    ngx_log_t *log_;
    std::function<void(std::uint64_t)> on_end_;
    ngx_connection_t *wakeup_ = nullptr; ///< an eventfd with which the thread signals its end
    ngx_event_t timer_{};                ///< until a failed write is retried, or the current one is late

    std::thread thread_; ///< exists while a write is in progress, and alone uses the next two then
    state_write what_;
    state_written result_;

    std::uint64_t begun_ = 0;  ///< the number of the last write that was started
    std::uint64_t wanted_ = 0; ///< the number of the write that contains all changes
    bool is_wrong_ = false;    ///< the last write failed: there is no file, and that has been logged
};

} // namespace rollout
