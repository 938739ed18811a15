// The connection of a worker process to rolloutd, on nginx's event loop: made as soon as rolloutd is there, and anew with backoff for
// as long as the process lives, an exiting one too. Whole messages come in and go out; what they say is its user's.
//
// Its own timers never keep an exiting process.
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
    /// What it calls, on the event loop.
    class user {
      public:
        /// The socket is open: time for a hello. What throws ends the connection.
        virtual void on_open() = 0;

        /// A message, and the lines behind it until the connection ends. May end it. What throws does.
        virtual void on_message(const json_t *message, std::string_view lines) = 0;

        /// The connection has ended. May ask for the next one.
        virtual void on_end() noexcept = 0;

        /// It could not be made. Is called from inside `open` as well.
        virtual void on_unreachable() noexcept = 0;

        /// This process stood still for longer than rolloutd waits for it; what came in meanwhile is not read.
        virtual void on_standstill() noexcept = 0;

      protected:
        ~user() = default;
    };

    /// Begins to connect with the next turn of the event loop.
    connection(const link_settings &settings, ngx_log_t *log, user &of);

    /// Closes it, without a word to anybody.
    ~connection();
    connection(const connection &) = delete;
    connection &operator=(const connection &) = delete;

    /// Has rolloutd answered the hello?
    bool up() const noexcept { return state_ == state::up; }

    /// Is rolloutd there, and its socket closed to the user of this process?
    bool denied() const noexcept { return state_ == state::down && denied_; }

    /// It is down, and the log says so.
    bool known_down() const noexcept { return state_ == state::down && down_logged_; }

    /// Should a timer of the connection have fired long ago?
    bool stood_still() const noexcept;

    /// Connects now if it is down, without waiting for the next attempt: rolloutd may be back just now. False when it is down all
    /// the same. Messages behind the hello are taken in their order.
    bool open() noexcept;

    /// rolloutd has answered the hello.
    void welcomed() noexcept;

    /// Sends a message, with a line behind it unless that is empty. Those of a turn of the event loop go out together at its end.
    void send(const json_t *message, std::string_view line = {});

    /// Sends a submission; those of a turn share a frame.
    void send(const submission_line &submission);

    /// What has been sent, and has not gone out yet.
    std::size_t unsent_bytes() const noexcept { return out_.unsent_bytes(); }

    /// Sends the last message of a process that ends; whether it arrives is not waited for.
    void send_last(const json_t *message) noexcept;

    /// Reads with this turn of the event loop what may have come in.
    void read_soon() noexcept;

    /// Ends it. The reason is for the log, which tells of an end once.
    void disconnect(const char *reason) noexcept;

    /// Ends it for what one of both objects to, which is told also when it was told before that there is no rolloutd. `denied`: its
    /// socket is closed to the user of this process.
    void refuse(const std::string &reason, bool denied) noexcept;

  private:
    enum class state { down, greeting, up };

    static void on_read(ngx_event_t *event) noexcept;
    static void on_write(ngx_event_t *event) noexcept;
    static void on_flush(ngx_event_t *event) noexcept;
    static void on_connect_timer(ngx_event_t *event) noexcept;

    void connect() noexcept;
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
    ngx_event_t flush_event_{};
    ngx_msec_t backoff_;
    ngx_msec_t heard_ = 0; ///< when something came from rolloutd last, or the connection was made
    bool tried_ = false;   ///< to connect
    bool denied_ = false;
    bool down_logged_ = false;
    bool refusal_logged_ = false;

    frame_reader reader_;
    outbox out_;
};

} // namespace rollout
