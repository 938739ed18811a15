// Keeps the state file at the routes of now, beside the event loop: a disk may take as long as it likes, and requests go on.
//
// Each write is a thread's, from the routes in shared memory to the synced folder. What changes meanwhile goes into the next
// write, of which there is one however many changes there are. The thread calls nothing of nginx's and takes none of its signals;
// nginx's own pools of threads are not for it: a module cannot have one of less than 32 threads that nobody has configured.
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
    /// `on_end(number)`: all writes up to that number have come to their end, well or badly. From the event loop, or from `finish`;
    /// it must not throw. Takes nothing of the system's before the first write.
    state_writer(shared_zone &zone, ngx_log_t *log, std::function<void(std::uint64_t)> on_end);

    /// Waits for the thread.
    ~state_writer();
    state_writer(const state_writer &) = delete;
    state_writer &operator=(const state_writer &) = delete;

    /// The routes have changed. Returns the number of the write that will hold the change: numbers grow. A write that fails is logged,
    /// once, and tried again every two seconds until one does not.
    std::uint64_t write() noexcept;

    /// Before this process ends: waits for the thread, and writes what is not written yet.
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
    ngx_connection_t *wakeup_ = nullptr; ///< an eventfd, by which the thread tells of its end
    ngx_event_t timer_{};                ///< until a failed write is tried again, or one that is under way is late

    std::thread thread_; ///< while a write is under way; it alone has these two then
    state_write what_;
    state_written result_;

    std::uint64_t begun_ = 0;  ///< the number of the last write that was begun
    std::uint64_t wanted_ = 0; ///< of the one that holds all changes
    bool is_wrong_ = false;    ///< the last one has failed: there is no file, and the log says so
};

} // namespace rollout
