#include "module/link/worker_link.hpp"

#include "common/link/protocol.hpp"

#include <algorithm>
#include <exception>
#include <utility>

#include <sys/socket.h>
#include <sys/un.h>

namespace rollout {

namespace {

/// The longest pause between two attempts, unless `reconnect` is longer: rolloutd is found again within a second.
constexpr ngx_msec_t longest_backoff_ms = 800;

/// rolloutd pings more often than that; a link that is silent for longer leads nowhere.
constexpr ngx_msec_t silence_ms = 15000;

/// A turn of the event loop ends once it has read so much.
constexpr std::size_t turn_bytes = 64 * 1024;

/// An event loop that runs is not so late with a timer.
constexpr ngx_msec_t late_ms = 1000;


/// In ngx_current_msec's time, which goes round.
bool is_past(ngx_msec_t time) noexcept
{
    return static_cast<ngx_msec_int_t>(ngx_current_msec - time) > 0;
}

} // namespace


worker_link::worker_link(const link_settings &settings, shared_zone &zone, ngx_log_t *log, known_upstreams upstreams)
    : settings_(settings), zone_(zone), log_(log), upstreams_(std::move(upstreams)), backoff_(settings.reconnect),
      state_file_(zone, log, [this](std::uint64_t write) { on_kept(write); })
{
    connect_timer_.handler = on_connect_timer;
    connect_timer_.data = this;
    connect_timer_.log = log;
    connect_timer_.cancelable = 1;

    flush_event_.handler = on_flush;
    flush_event_.data = this;
    flush_event_.log = log;

    ngx_add_timer(&connect_timer_, 0);
}


worker_link::~worker_link()
{
    state_file_.finish(); // before another process is given the stream: the state file is as new as what that one has
    if (state_ == state::up) {
        // The last words tell rolloutd not to wait for this process; whether they arrive is not waited for.
        try {
            send(message_of(gateway_frame::bye).get());
            flush();
        } catch (const std::exception &) {
        }
    }
    close_connection();
    if (connect_timer_.timer_set) {
        ngx_del_timer(&connect_timer_);
    }
    for (auto &[id, call] : calls_) {
        call->id = 0;
        if (call->timer.timer_set) {
            ngx_del_timer(&call->timer);
        }
    }
}


/// The read side's timer, or that of the next attempt to connect, should have fired long ago.
bool worker_link::stood_still() const noexcept
{
    return state_ == state::down ? tried_ && connect_timer_.timer_set && is_past(connect_timer_.timer.key + late_ms)
                                 : is_past(heard_ + silence_ms + late_ms);
}


void worker_link::begin_to_catch_up() noexcept
{
    ngx_log_error(
        NGX_LOG_WARN, log_, 0,
        "rollout: this process stood still for a while: requests wait until rolloutd at \"unix:%V\" has told "
        "it the routes of now",
        &settings_.path);
    catches_up_ = true;
    catches_up_until_ = ngx_current_msec + settings_.ack_timeout;
    awaited_routes_ = UINT64_MAX;
}


/// What has come in was sent before the standstill: rolloutd is asked anew.
void worker_link::catch_up() noexcept
{
    const bool told = std::exchange(told_down_, true); // this end is nothing to speak of
    disconnect("");
    told_down_ = told;
    backoff_ = settings_.reconnect;
    begin_to_catch_up();
    connected();
}


bool worker_link::has_current_routes() noexcept
{
    if (!catches_up_) {
        if (!stood_still()) {
            return true;
        }
        begin_to_catch_up();
        if (connection_ != nullptr) { // else the timer is due
            ngx_post_event(connection_->read, &ngx_posted_events);
        }
    }
    if (is_past(catches_up_until_) || zone_.routes_revision() >= awaited_routes_) {
        catches_up_ = false;
    }
    return !catches_up_;
}


void worker_link::on_connect_timer(ngx_event_t *event) noexcept
{
    auto *self = static_cast<worker_link *>(event->data);
    if (self->tried_ &&
        is_past(event->timer.key + late_ms)) { // the first one is set before the process has its clock
        self->begin_to_catch_up();
    }
    self->connect();
}


void worker_link::connect() noexcept
{
    tried_ = true;
    if (const char *fault = open_socket()) {
        const ngx_err_t error = ngx_socket_errno;
        close_connection();
        catches_up_ = false; // rolloutd is away: what is known counts
        const bool was_denied = std::exchange(denied_, error == NGX_EACCES || error == NGX_EPERM);
        if (!std::exchange(told_down_, true) ||
            denied_ != was_denied) { // with another cause something else is to be done
            ngx_log_error(
                NGX_LOG_ERR, log_, error,
                "rollout: %s to rolloutd at \"unix:%V\" failed; routing and reads go on by what is known, new "
                "tasks are refused until it is there%s",
                fault, &settings_.path,
                denied_ ? ": the user of nginx's worker processes may not connect; make it a member of the socket's "
                          "group, and "
                          "name it in listen.allow_users of rolloutd.json"
                        : "");
        }
        const ngx_msec_t jitter = static_cast<ngx_msec_t>(ngx_random()) % (backoff_ / 4 + 1);
        ngx_add_timer(&connect_timer_, backoff_ - jitter);
        backoff_ = std::min(backoff_ * 2, std::max(longest_backoff_ms, settings_.reconnect));
        return;
    }

    state_ = state::greeting;
    denied_ = false;
    heard_ = ngx_current_msec;
    try {
        send_hello();
    } catch (const std::exception &error) {
        disconnect(error.what());
    }
}


/// A question does not wait for the next attempt to connect: rolloutd may be back just now. Frames behind the hello are
/// taken in their order.
bool worker_link::connected() noexcept
{
    if (state_ == state::down && connect_timer_.timer_set) {
        ngx_del_timer(&connect_timer_);
        connect();
    }
    return state_ != state::down;
}


/// What failed, or null.
const char *worker_link::open_socket() noexcept
{
    const ngx_socket_t fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return "socket()";
    }
    connection_ = ngx_get_connection(fd, log_);
    if (connection_ == nullptr) {
        ngx_close_socket(fd);
        return "a connection (worker_connections)";
    }

    ngx_connection_t *c = connection_;
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


void worker_link::close_connection() noexcept
{
    if (flush_event_.posted) {
        ngx_delete_posted_event(&flush_event_);
    }
    if (connection_ != nullptr) {
        ngx_close_connection(connection_);
        connection_ = nullptr;
    }
    state_ = state::down;
    reader_ = frame_reader();
    submissions_.clear();
    out_.clear();
    sent_ = 0;
    streams_ = false;
    in_full_set_ = false;
    full_set_.clear();
    unanswered_.clear();
    unkept_.clear();
}


void worker_link::disconnect(const char *reason) noexcept
{
    if (!std::exchange(told_down_, true)) {
        ngx_log_error(
            NGX_LOG_ERR, log_, 0,
            "rollout: the link to rolloutd at \"unix:%V\" ended: %s; routing and reads go on by what is known, "
            "new tasks are refused until it is back",
            &settings_.path, reason);
    }
    catches_up_ = false;
    const bool in_doubt = std::ranges::any_of(unanswered_, [](const auto &entry) { return entry.second; });
    close_connection();
    if (in_doubt) {
        zone_.doubt_tasks();
    }
    if (!connect_timer_.timer_set) {
        ngx_add_timer(&connect_timer_, backoff_);
    }
    end_calls(false, link_result::lost);
}


void worker_link::on_read(ngx_event_t *event) noexcept
{
    auto *c = static_cast<ngx_connection_t *>(event->data);
    auto *self = static_cast<worker_link *>(c->data);
    if (self->stood_still()) {
        event->timedout = 0;
        self->catch_up();
        return;
    }
    if (event->timedout) {
        event->timedout = 0;
        self->disconnect("rolloutd has been silent for 15 seconds");
        return;
    }
    self->read();
}


void worker_link::read() noexcept
try {
    ngx_connection_t *c = connection_;
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
            take(message.get());
            if (connection_ != c) {
                return;
            }
        }
    }
    ngx_post_event(c->read, &ngx_posted_next_events); // requests are served before it goes on
} catch (const std::exception &error) {
    disconnect(error.what());
}


void worker_link::on_write(ngx_event_t *event) noexcept
{
    static_cast<worker_link *>(static_cast<ngx_connection_t *>(event->data)->data)->flush();
}


void worker_link::on_flush(ngx_event_t *event) noexcept
{
    static_cast<worker_link *>(event->data)->flush();
}


void worker_link::flush() noexcept
try {
    send_submissions();
    ngx_connection_t *c = connection_;
    while (c != nullptr && sent_ < out_.size()) {
        if (!c->write->ready) {
            return;
        }
        const ssize_t n = c->send(c, reinterpret_cast<u_char *>(out_.data()) + sent_, out_.size() - sent_);
        if (n == NGX_AGAIN) {
            if (ngx_handle_write_event(c->write, 0) != NGX_OK) {
                disconnect("its events cannot be awaited");
            }
            return;
        }
        if (n < 0) {
            // rolloutd has closed it. What it said before, why perhaps, is still to be read, and behind it the end.
            out_.clear();
            sent_ = 0;
            ngx_post_event(c->read, &ngx_posted_events);
            return;
        }
        sent_ += static_cast<std::size_t>(n);
    }
    out_.clear();
    sent_ = 0;
} catch (const std::exception &error) {
    disconnect(error.what());
}


/// Frames gather and go out together at the end of this turn of the event loop.
void worker_link::send(const json_t *message, std::string_view line)
{
    send_submissions(); // what came before it goes before it
    std::string text = json_compact(message);
    if (!line.empty()) {
        text.append(1, '\n').append(line);
    }
    if (!append_frame(out_, text)) {
        ngx_log_error(NGX_LOG_ALERT, log_, 0, "rollout: a frame of type \"%s\" is too large and was not sent",
                      json_string_value(json_object_get(message, "type")));
        return;
    }
    send_soon();
}


/// Those of a turn share a frame.
void worker_link::send_submissions()
{
    if (!submissions_.empty()) {
        append_frame(out_, message_text(gateway_frame::submit) + submissions_);
        submissions_.clear();
    }
}


void worker_link::send_soon()
{
    if (!flush_event_.posted) {
        ngx_post_event(&flush_event_, &ngx_posted_events);
    }
}


void worker_link::send_hello()
{
    json_ptr message = message_of(gateway_frame::hello);
    put_protocols(message.get(), spoken_protocols);
    json_put(message.get(), "pid", json_make_number(static_cast<std::uint64_t>(ngx_pid)));
    json_put(message.get(), "gateway", zone_.gateway());
    std::string journal;
    journal.reserve(sizeof(zone_header::journal)); // nothing under the lock may throw
    std::uint64_t revision = 0;
    {
        const zone_writer writer(
            zone_); // a consistent pair of journal and revision, and what is to repair is repaired
        journal = zone_.journal();
        revision = zone_.header->revision;
        repairs_at_hello_ = zone_.header->repairs;
        doubts_at_hello_ = zone_.doubts();
    }
    if (upstreams_.names) {
        json_put(message.get(), "upstreams", json_make_array(*upstreams_.names));
    }
    brought_ = revision;
    awaits_welcome_ = true;
    json_put(message.get(), "journal", journal);
    json_put(message.get(), "revision", json_make_number(revision));
    send(message.get());
}

} // namespace rollout
