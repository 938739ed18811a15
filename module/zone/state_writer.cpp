#include "module/zone/state_writer.hpp"

#include <cerrno>
#include <csignal>
#include <exception>
#include <system_error>
#include <utility>

#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

namespace rollout {

namespace {

/// The pause before a failed write of the state file is retried.
constexpr ngx_msec_t rewrite_pause_ms = 2000;

/// A write that takes longer is logged: rollouts wait for it.
constexpr ngx_msec_t late_ms = 5000;


/// How much the priority of a write is below that of its process: if all cores are busy, requests come first.
constexpr int niceness = 10;


/// Linux has a niceness for each thread, and 0 stands for the calling thread (setpriority(2), "C library/kernel
/// differences").
void give_way_to_requests() noexcept
{
    setpriority(PRIO_PROCESS, 0, getpriority(PRIO_PROCESS, 0) + niceness);
}


/// Blocks all signals in threads created during its lifetime: nginx's handlers must run in its main thread.
class blocked_signals {
  public:
    blocked_signals() noexcept
    {
        sigset_t all;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before_);
    }
    ~blocked_signals() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
    blocked_signals(const blocked_signals &) = delete;
    blocked_signals &operator=(const blocked_signals &) = delete;

  private:
    sigset_t before_;
};

} // namespace


state_writer::state_writer(shared_zone &zone, ngx_log_t *log, std::function<void(std::uint64_t)> on_end)
    : zone_(zone), log_(log), on_end_(std::move(on_end))
{
    timer_.handler = on_timer;
    timer_.data = this;
    timer_.log = log;
    timer_.cancelable = 1;
}


state_writer::~state_writer()
{
    if (thread_.joinable()) {
        thread_.join();
    }
    if (timer_.timer_set) {
        ngx_del_timer(&timer_);
    }
    if (wakeup_ != nullptr) {
        ngx_close_connection(wakeup_);
    }
}


std::uint64_t state_writer::write() noexcept
{
    wanted_ = begun_ + 1;
    if (!thread_.joinable()) {
        start();
    }
    return wanted_;
}


void state_writer::start() noexcept
{
    if (timer_.timer_set) {
        ngx_del_timer(&timer_);
    }
    try {
        open_wakeup();
        if (prepare()) {
            start_thread();
            begun_ = wanted_;
            ngx_add_timer(&timer_, late_ms);
            return;
        }
    } catch (const std::system_error &error) {
        if (!std::exchange(is_wrong_, true)) {
            ngx_log_error(
                NGX_LOG_ERR, log_, error.code().value(),
                "rollout: the state file \"%V\" cannot be written now and is tried again; rollouts wait for it: %s",
                &zone_.state_file, error.what());
        }
    } catch (const std::exception &error) {
        ngx_log_error(NGX_LOG_ERR, log_, 0, "rollout: the state file \"%V\" cannot be written now: %s",
                      &zone_.state_file, error.what());
    }
    pause();
}


void state_writer::open_wakeup()
{
    if (wakeup_ != nullptr) {
        return;
    }
    const int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (fd < 0) {
        throw std::system_error(errno, std::generic_category(), "eventfd()");
    }
    ngx_connection_t *c = ngx_get_connection(fd, log_);
    if (c == nullptr) {
        ::close(fd);
        throw std::system_error(EAGAIN, std::generic_category(), "a connection (worker_connections)");
    }
    c->data = this;
    c->log = log_;
    c->read->handler = on_wakeup;
    c->read->log = log_;
    c->write->log = log_;
    if (ngx_handle_read_event(c->read, 0) != NGX_OK) {
        ngx_close_connection(c);
        throw std::system_error(EAGAIN, std::generic_category(), "waiting for it");
    }
    wakeup_ = c;
}


/// Returns false if the zone is locked.
bool state_writer::prepare()
{
    auto what = make_state_write(zone_);
    if (!what) {
        return false;
    }
    what_ = std::move(*what);
    what_.removes_leftovers = begun_ == 0;
    return true;
}


void state_writer::start_thread()
{
    const blocked_signals none;
    thread_ = std::thread([this, fd = wakeup_->fd]() noexcept {
        give_way_to_requests();
        result_ = write_state(zone_, what_);
        eventfd_write(fd, 1);
    });
}


void state_writer::on_wakeup(ngx_event_t *event) noexcept
{
    auto *self = static_cast<state_writer *>(static_cast<ngx_connection_t *>(event->data)->data);
    eventfd_t ended = 0;
    const bool has_ended = eventfd_read(self->wakeup_->fd, &ended) == 0;
    event->ready = 0;
    if (ngx_handle_read_event(event, 0) != NGX_OK) {
        ngx_log_error(NGX_LOG_ALERT, self->log_, 0, "rollout: the end of writes to \"%V\" cannot be awaited",
                      &self->zone_.state_file);
    }
    if (has_ended) {
        self->end();
    }
}


void state_writer::on_timer(ngx_event_t *event) noexcept
{
    auto *self = static_cast<state_writer *>(event->data);
    if (self->thread_.joinable()) {
        ngx_log_error(NGX_LOG_WARN, self->log_, 0,
                      "rollout: the state file \"%V\" is being written for 5 seconds already; rollouts wait until it "
                      "is: look at its "
                      "disk",
                      &self->zone_.state_file);
    } else {
        self->start();
    }
}


void state_writer::pause() noexcept
{
    ngx_add_timer(&timer_, rewrite_pause_ms);
}


/// To be called when the thread has finished.
void state_writer::end() noexcept
{
    thread_.join();
    if (timer_.timer_set) {
        ngx_del_timer(&timer_);
    }
    switch (result_.is) {
    case state_written::result::again:
    case state_written::result::blocked:
        wanted_ = begun_ + 1;
        start();
        return;
    case state_written::result::yes:
    case state_written::result::failed:
        report();
        break;
    }
    on_end_(begun_);
    if (thread_.joinable()) {
        return; // the callback has changed the routes, and a write is in progress again
    }
    if (wanted_ > begun_) {
        start();
    } else if (is_wrong_) {
        wanted_ = begun_ + 1;
        pause();
    }
}


void state_writer::report() noexcept
{
    const bool failed = result_.is == state_written::result::failed;
    if (std::exchange(is_wrong_, failed) == failed) {
        return;
    }
    if (!failed) {
        ngx_log_error(NGX_LOG_NOTICE, log_, 0, "rollout: the state file \"%V\" is written again", &zone_.state_file);
        return;
    }
    ngx_log_error(NGX_LOG_ERR, log_, result_.cause,
                  "rollout: the state file \"%V\" could not be written and is tried again; the user of the "
                  "worker processes needs to "
                  "write to its folder",
                  &zone_.state_file);
    if (result_.cause_it_stays != 0) {
        ngx_log_error(NGX_LOG_ALERT, log_, result_.cause_it_stays,
                      "rollout: the state file \"%V\" holds old routes and cannot be removed either: remove it, or "
                      "an nginx that starts while rolloutd is down follows them",
                      &zone_.state_file);
    }
}


void state_writer::finish() noexcept
{
    if (thread_.joinable()) {
        thread_.join();
        if (result_.is == state_written::result::yes || result_.is == state_written::result::failed) {
            report();
        } else {
            wanted_ = begun_ + 1;
        }
    }
    for (int attempt = 0; attempt < 2 && (wanted_ > begun_ || is_wrong_); ++attempt) {
        try {
            if (!prepare()) {
                break;
            }
        } catch (const std::exception &) {
            break; // the previous file stays, and contains everything that rolloutd was told
        }
        result_ = write_state(zone_, what_);
        if (result_.is == state_written::result::yes || result_.is == state_written::result::failed) {
            begun_ = wanted_;
            report();
            break;
        }
    }
    if (wanted_ <= begun_) {
        on_end_(begun_);
    }
}

} // namespace rollout
