// The connection of a worker process to rolloutd, on nginx's event loop. It is made as soon as rolloutd is there, and
// again with backoff as long as the process lives, also while it exits. It carries whole messages, whose meaning is
// up to its user.
//
// Its timers never keep an exiting process alive.
#pragma once

#include "common/base/json.hpp"
#include "common/link/frame.hpp"
#include "module/link/link_settings.hpp"
#include "module/link/outbox.hpp"
#include "module/nginx/ngx.hpp"

#include <string>
#include <string_view>

namespace rollout {

class connection {
  public:
    /// The callbacks, which run on the event loop.
    class user {
      public:
        /// The socket is open: time to send a hello. An exception ends the connection.
        virtual void on_open() = 0;

        /// A message has arrived; `lines` are the lines after it, valid until the connection ends. May end the
        /// connection; an exception does.
        virtual void on_message(const json_t *message, std::string_view lines) = 0;

        /// The connection has ended. May open the next one.
        virtual void on_end() noexcept = 0;

        /// No connection could be made. Also called from inside `open`.
        virtual void on_unreachable() noexcept = 0;

        /// This process stood still for longer than rolloutd waits for it. What has arrived since then is not read.
        virtual void on_standstill() noexcept = 0;

      protected:
        ~user() = default;
    };

    /// Starts to connect in the next turn of the event loop.
    connection(const link_settings &settings, ngx_log_t *log, user &of);

    /// Closes the connection without notifying rolloutd or the user.
    ~connection();
    connection(const connection &) = delete;
    connection &operator=(const connection &) = delete;

    /// Returns whether rolloutd has answered the hello.
    bool up() const noexcept { return state_ == state::up; }

    /// Returns whether rolloutd is there, but its socket is closed to the user of this process.
    bool denied() const noexcept { return state_ == state::down && denied_; }

    /// Returns whether the connection is down and that has been logged.
    bool known_down() const noexcept { return state_ == state::down && down_logged_; }

    /// Returns whether a timer of the connection should have fired long ago.
    bool stood_still() const noexcept;

    /// Connects now if the connection is down, without waiting for the next attempt: rolloutd may have just come
    /// back. Returns false if it is still down. Messages sent after the hello are delivered in order.
    bool open() noexcept;

    /// To be called when rolloutd has answered the hello.
    void welcomed() noexcept;

    /// Sends a message, followed by a line unless that is empty. Messages of one turn of the event loop are sent
    /// together at its end.
    void send(const json_t *message, std::string_view line = {});

    /// Sends a submission; the submissions of one turn share a frame.
    void send(const submission_line &submission);

    /// Returns the number of bytes that are queued and not sent yet.
    std::size_t unsent_bytes() const noexcept { return out_.unsent_bytes(); }

    /// Sends the last message of a process that ends, without waiting for its delivery.
    void send_last(const json_t *message) noexcept;

    /// Reads in this turn of the event loop what may have arrived.
    void read_soon() noexcept;

    /// Ends the connection. The reason is logged, once for each end.
    void disconnect(const char *reason) noexcept;

    /// Ends the connection because one end refuses the other. This is logged even if it has been logged before that
    /// rolloutd is down. `denied`: the socket is closed to the user of this process.
    void refuse(const std::string &reason, bool denied) noexcept;

  private:
    enum class state { down, greeting, up };

    static void on_read(ngx_event_t *event) noexcept;
    static void on_write(ngx_event_t *event) noexcept;
    static void on_flush(ngx_event_t *event) noexcept;
    static void on_connect_timer(ngx_event_t *event) noexcept;

    void connect() noexcept;
    void connect_in(ngx_msec_t pause) noexcept;
    bool is_late() const noexcept;
    void restart() noexcept;
    const char *open_socket() noexcept;
    void shut() noexcept;
    void read() noexcept;
    void read_frames();
    void flush() noexcept;
    void write_frames();
    void flush_soon();

    link_settings settings_;
    ngx_log_t *log_;
    user &user_;

    state state_ = state::down;
    ngx_connection_t *socket_ = nullptr;
    ngx_event_t connect_timer_{};
    ngx_msec_t connect_at_ = 0; ///< when that is due, or was
    ngx_event_t flush_event_{};
    ngx_msec_t backoff_;
    ngx_msec_t heard_ = 0; ///< when something last came from rolloutd, or the connection was made
    bool tried_ = false;   ///< an attempt to connect has been made
    bool denied_ = false;
    bool down_logged_ = false;
    bool refusal_logged_ = false;

    frame_reader reader_;
    outbox out_;
};

} // namespace rollout
