#include "module/link/connection.hpp"

#include "module/nginx/guard.hpp"

#include <algorithm>
#include <utility>

#include <sys/socket.h>
#include <sys/un.h>

namespace rollout {

namespace {

/// The longest pause between two attempts, unless `reconnect` is longer, so that rolloutd is found again within a
/// second.
constexpr ngx_msec_t longest_backoff_ms = 800;

/// rolloutd pings more often than this; a link that is silent for longer is dead.
constexpr ngx_msec_t silence_ms = 15000;

/// The most bytes that are read in one turn of the event loop.
constexpr std::size_t turn_bytes = 64 * 1024;

/// A running event loop is never this late with a timer.
constexpr ngx_msec_t late_ms = 1000;

} // namespace


connection::connection(const link_settings &settings, ngx_log_t *log, user &of)
    : settings_(settings), log_(log), user_(of), backoff_(settings.reconnect)
{
    connect_timer_.handler = on_connect_timer;
    connect_timer_.data = this;
    connect_timer_.log = log;
    connect_timer_.cancelable = 1;

    flush_event_.handler = on_flush;
    flush_event_.data = this;
    flush_event_.log = log;

    connect_in(0);
}


connection::~connection()
{
    shut();
    if (connect_timer_.timer_set) {
        ngx_del_timer(&connect_timer_);
    }
}


/// Checks the timer of the read side, or that of the next attempt to connect.
bool connection::stood_still() const noexcept
{
    return state_ == state::down ? connect_timer_.timer_set && is_late() : is_past(heard_ + silence_ms + late_ms);
}


/// Returns whether the timer of the next attempt is late, or was when it expired. The first one is set before the process has its clock.
bool connection::is_late() const noexcept
{
    return tried_ && is_past(connect_at_ + late_ms);
}


/// The timer itself forgets its time when it expires.
void connection::connect_in(ngx_msec_t pause) noexcept
{
    ngx_add_timer(&connect_timer_, pause);
    connect_at_ = ngx_current_msec + pause;
}


/// Reconnects after a standstill: what has arrived was sent before it.
void connection::restart() noexcept
{
    const bool logged = std::exchange(down_logged_, true); // this end is not worth a log line
    disconnect("");
    down_logged_ = logged;
    backoff_ = settings_.reconnect;
    user_.on_standstill();
    open();
}


void connection::read_soon() noexcept
{
    if (socket_ != nullptr) { // else the timer is due
        ngx_post_event(socket_->read, &ngx_posted_events);
    }
}


void connection::on_connect_timer(ngx_event_t *event) noexcept
{
    auto *self = static_cast<connection *>(event->data);
    if (self->is_late()) {
        self->user_.on_standstill();
    }
    self->connect();
}


void connection::connect() noexcept
{
    tried_ = true;
    if (const char *fault = open_socket()) {
        const ngx_err_t error = ngx_socket_errno;
        shut();
        user_.on_unreachable();
        const bool was_denied = std::exchange(denied_, error == NGX_EACCES || error == NGX_EPERM);
        if (!std::exchange(down_logged_, true) || denied_ != was_denied) { // another cause needs another remedy
            ngx_log_error(
                NGX_LOG_ERR, log_, error,
                "rollout: %s to rolloutd at \"unix:%V\" failed; the gateway keeps routing and serving reads from its "
                "last known state, and refuses new tasks until rolloutd is up%s",
                fault, &settings_.path,
                denied_ ? ": the user of nginx's worker processes may not connect; make it a member of the socket's "
                          "group, and "
                          "name it in listen.allow_users of rolloutd.json"
                        : "");
        }
        const ngx_msec_t jitter = static_cast<ngx_msec_t>(ngx_random()) % (backoff_ / 4 + 1);
        connect_in(backoff_ - jitter);
        backoff_ = std::min(backoff_ * 2, std::max(longest_backoff_ms, settings_.reconnect));
        return;
    }

    state_ = state::greeting;
    denied_ = false;
    heard_ = ngx_current_msec;
    guarded_by([this] { user_.on_open(); }, [this](const std::exception &error) { disconnect(error.what()); });
}


bool connection::open() noexcept
{
    if (state_ == state::down && connect_timer_.timer_set) {
        ngx_del_timer(&connect_timer_);
        connect();
    }
    return state_ != state::down;
}


/// Returns the operation that failed, or null.
const char *connection::open_socket() noexcept
{
    const ngx_socket_t fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return "socket()";
    }
    socket_ = ngx_get_connection(fd, log_);
    if (socket_ == nullptr) {
        ngx_close_socket(fd);
        return "a connection (worker_connections)";
    }

    ngx_connection_t *c = socket_;
    c->data = this;
    c->log = log_;
    c->recv = ngx_recv;
    c->send = ngx_send;
    c->log_error = NGX_ERROR_ERR;
    c->number = ngx_atomic_fetch_add(ngx_connection_counter, 1);
    c->read->handler = on_read;
    c->read->log = log_;
    c->read->cancelable = 1;
    c->write->handler = on_write;
    c->write->log = log_;
    c->write->cancelable = 1;

    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    ngx_memcpy(address.sun_path, settings_.path.data, settings_.path.len);
    if (::connect(fd, reinterpret_cast<sockaddr *>(&address), sizeof(address)) != 0) {
        return "connect()";
    }

    c->write->ready = 1;
    if (ngx_handle_read_event(c->read, 0) != NGX_OK) {
        return "waiting";
    }
    ngx_add_timer(c->read, silence_ms);
    return nullptr;
}


void connection::shut() noexcept
{
    if (flush_event_.posted) {
        ngx_delete_posted_event(&flush_event_);
    }
    if (socket_ != nullptr) {
        ngx_close_connection(socket_);
        socket_ = nullptr;
    }
    state_ = state::down;
    reader_ = frame_reader();
    out_.clear();
}


void connection::welcomed() noexcept
{
    state_ = state::up;
    backoff_ = settings_.reconnect;
    const ngx_uint_t level = down_logged_ ? NGX_LOG_NOTICE : NGX_LOG_INFO;
    ngx_log_error(level, log_, 0, "rollout: linked to rolloutd at \"unix:%V\"", &settings_.path);
    down_logged_ = false;
    refusal_logged_ = false;
}


void connection::disconnect(const char *reason) noexcept
{
    if (!std::exchange(down_logged_, true)) {
        ngx_log_error(NGX_LOG_ERR, log_, 0,
                      "rollout: the link to rolloutd at \"unix:%V\" ended: %s; the gateway keeps routing and serving "
                      "reads from its last known state, and refuses new tasks until rolloutd is back",
                      &settings_.path, reason);
    }
    shut();
    if (!connect_timer_.timer_set) {
        connect_in(backoff_);
    }
    user_.on_end();
}


void connection::refuse(const std::string &reason, bool denied) noexcept
{
    denied_ = denied;
    if (!std::exchange(refusal_logged_, true)) {
        down_logged_ = false;
    }
    disconnect(reason.c_str());
}


void connection::on_read(ngx_event_t *event) noexcept
{
    auto *c = static_cast<ngx_connection_t *>(event->data);
    auto *self = static_cast<connection *>(c->data);
    if (self->stood_still()) {
        event->timedout = 0;
        self->restart();
        return;
    }
    if (event->timedout) {
        event->timedout = 0;
        self->disconnect("rolloutd has been silent for 15 seconds");
        return;
    }
    self->read();
}


void connection::read() noexcept
{
    guarded_by([this] { read_frames(); }, [this](const std::exception &error) { disconnect(error.what()); });
}


void connection::read_frames()
{
    ngx_connection_t *c = socket_;
    u_char buffer[turn_bytes];
    for (std::size_t received = 0; received < turn_bytes;) {
        const ssize_t n = c->recv(c, buffer, sizeof(buffer));
        if (n == NGX_AGAIN) {
            if (ngx_handle_read_event(c->read, 0) != NGX_OK) {
                disconnect("its events cannot be awaited");
            }
            return;
        }
        if (n <= 0) {
            disconnect(n == 0 ? "rolloutd closed it" : "an error while reading");
            return;
        }
        ngx_add_timer(c->read, silence_ms);
        heard_ = ngx_current_msec;
        received += static_cast<std::size_t>(n);
        reader_.feed({reinterpret_cast<char *>(buffer), static_cast<std::size_t>(n)});

        json_ptr message;
        std::string reason;
        for (;;) {
            const auto next = reader_.next(message, reason);
            if (next == frame_reader::state::broken) {
                disconnect(reason.c_str());
                return;
            }
            if (next == frame_reader::state::need_more) {
                break;
            }
            user_.on_message(message.get(), reader_.lines());
            if (socket_ != c) {
                return;
            }
        }
    }
    ngx_post_event(c->read, &ngx_posted_next_events); // other requests are served before it continues
}


void connection::on_write(ngx_event_t *event) noexcept
{
    static_cast<connection *>(static_cast<ngx_connection_t *>(event->data)->data)->flush();
}


void connection::on_flush(ngx_event_t *event) noexcept
{
    static_cast<connection *>(event->data)->flush();
}


void connection::flush() noexcept
{
    guarded_by([this] { write_frames(); }, [this](const std::exception &error) { disconnect(error.what()); });
}


void connection::write_frames()
{
    ngx_connection_t *c = socket_;
    for (auto rest = out_.next(); c != nullptr && !rest.empty(); rest = out_.next()) {
        if (!c->write->ready) {
            return;
        }
        const ssize_t n = c->send(c, reinterpret_cast<u_char *>(const_cast<char *>(rest.data())), rest.size());
        if (n == NGX_AGAIN) {
            if (ngx_handle_write_event(c->write, 0) != NGX_OK) {
                disconnect("its events cannot be awaited");
            }
            return;
        }
        if (n < 0) {
            // rolloutd has closed the connection. What it sent before, perhaps the reason, is still to be read, and
            // then the end.
            out_.clear();
            ngx_post_event(c->read, &ngx_posted_events);
            return;
        }
        out_.note_sent(static_cast<std::size_t>(n));
    }
}


void connection::send(const json_t *message, std::string_view line)
{
    if (!out_.add(message, line)) {
        ngx_log_error(NGX_LOG_ALERT, log_, 0, "rollout: a frame of type \"%s\" is too large and was not sent",
                      json_string_value(json_object_get(message, "type")));
        return;
    }
    flush_soon();
}


void connection::send(const submission_line &submission)
{
    out_.add(submission);
    flush_soon();
}


void connection::send_last(const json_t *message) noexcept
{
    guarded_by(
        [&] {
            send(message);
            flush();
        },
        [](const std::exception &) {});
}


void connection::flush_soon()
{
    if (!flush_event_.posted) {
        ngx_post_event(&flush_event_, &ngx_posted_events);
    }
}

} // namespace rollout
