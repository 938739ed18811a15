// One nginx worker process's connection: the frames in both directions, and how it ends.
#pragma once

#include "common/base/json.hpp"
#include "common/link/frame.hpp"
#include "common/link/task_line.hpp"
#include "worker/gateway/upstream_names.hpp"
#include "worker/gateway/upstream_servers.hpp"

#include <uv.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace rollout {

class session;
using session_ptr = std::shared_ptr<session>;

/// What a session reports to its owner, from the loop. Each callback may end the session and release it.
struct session_events {
    /// Handles a frame. The session's `lines` are the ones after it until this returns.
    std::function<void(const session_ptr &from, const json_t *message, std::string_view type)> on_message;

    /// Called when a write is over: there may be room for more.
    std::function<void(const session_ptr &to)> on_written;

    /// Called once, from inside `end`, which is also called when the peer closes the connection or breaks a rule.
    std::function<void(const session_ptr &which)> on_end;
};

/// The peer at the other end, according to its hello.
struct session_peer {
    std::string gateway;                     ///< empty before its hello
    int pid = 0;                             ///< as the peer reports it
    int seen_pid = 0;                        ///< as rolloutd sees it; 0: not visible
    std::optional<upstream_names> upstreams; ///< in its configuration; no value if it did not say
    upstream_servers servers;                ///< of its upstream blocks
    bool said_bye = false;
};

/// What is sent is gathered until `flush`, which the owner calls in each turn of the loop. A peer that does not read
/// is cut off at `most_unsent_bytes`. The session is held by shared pointers; libuv keeps its handle, and the bytes
/// of a write that is under way, for one more turn of the loop, which has to run that turn.
class session : public std::enable_shared_from_this<session> {
  public:
    static constexpr std::size_t most_unsent_bytes = 64 * 1024 * 1024;

    session(uv_loop_t *loop, session_events events);
    ~session();
    session(const session &) = delete;
    session &operator=(const session &) = delete;

    /// Take the connection that waits at a listening socket, or one that is already open; false if there is none.
    /// Either is called once, before `start`.
    bool accept(uv_stream_t *waiting) noexcept;
    bool open(int descriptor) noexcept;

    /// Starts reading.
    void start();

    /// Returns the socket; -1 if it is closed.
    int descriptor() const noexcept;

    /// Appends a frame, after the answers that were given before it. Drops it if the session is closed, or if the
    /// peer is so far behind that the next flush ends the session.
    void send(std::string_view text);
    void send(const json_ptr &message);

    /// Appends an answer, a line of the next `accepted` frame: WORD and a task. The answers of one turn share a
    /// frame.
    void answer(std::uint64_t id, std::string_view word, const task_line &task);
    void send_answers();

    /// Writes what has been gathered, unless a write is under way, which continues by itself. Ends the session of a
    /// peer that does not read.
    void flush();

    /// Counts a question of the peer that will be answered. Ends the session and returns false if too many are open:
    /// a gateway itself observes limits::requests_in_flight.
    bool begin_question();
    void end_question() noexcept { --questions_; }

    /// Returns the lines after the message that is being handled.
    std::string_view lines() const noexcept { return reader_.lines(); }

    /// Returns how many bytes the peer has not taken: those of the write that is under way, and what has been
    /// gathered since.
    std::size_t unsent() const noexcept;

    /// Returns when something was last received, in the loop's milliseconds.
    std::uint64_t heard_at() const noexcept { return heard_at_; }

    /// Ends the connection; does nothing if it has ended. The reason is logged and sent to the peer; an empty one
    /// means an orderly end.
    void end(const std::string &reason);

    /// Ends it in the same way, without a line in the log: of a peer that tries again and again.
    void turn_away(const std::string &reason);

    /// Closes the connection without notifying anybody.
    void close() noexcept;
    bool closed() const noexcept { return pipe_ == nullptr; }

    session_peer peer;

  private:
    struct write_request;

    static void on_written(uv_write_t *request, int status);

    void read(std::string_view bytes);
    void receive(const json_t *message);
    void send_frame(std::string_view text);
    void write();
    bool write_at_once();
    void write_later();
    void refuse(const std::string &reason);
    void break_off() const noexcept;

    session_events events_;
    uv_pipe_t *pipe_ = new uv_pipe_t{}; ///< lives until libuv has closed it; null: closed
    std::array<char, 65536> buffer_;
    frame_reader reader_;
    std::string answers_; ///< lines of the next `accepted`
    std::string out_;     ///< frames of the next write
    bool writing_ = false;
    std::size_t questions_ = 0; ///< of the peer, still unanswered
    std::uint64_t heard_at_;
};

} // namespace rollout
