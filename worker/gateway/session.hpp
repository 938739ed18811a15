// One nginx worker process's connection: its frames in, the frames to it, and how it ends.
#pragma once

#include "common/base/json.hpp"
#include "common/link/frame.hpp"
#include "common/link/task_line.hpp"
#include "worker/gateway/upstream_names.hpp"

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

/// What a session tells its owner, from the loop. Each of these may end the session, and let it go.
struct session_events {
    /// Takes a frame. The session's `lines` are those behind it until this returns.
    std::function<void(const session_ptr &from, const json_t *message, std::string_view type)> on_message;

    /// Takes the news that a write is over: there may be room for more.
    std::function<void(const session_ptr &to)> on_written;

    /// Takes leave, once, from inside `end`, which is called too when the peer ends or breaks a rule.
    std::function<void(const session_ptr &which)> on_end;
};

/// Who is at the other end, by what its hello said.
struct session_peer {
    std::string gateway;                     ///< empty before its hello
    int pid = 0;                             ///< as it calls itself
    int seen_pid = 0;                        ///< as rolloutd sees it; 0: it is out of sight
    std::optional<upstream_names> upstreams; ///< that its configuration has; nothing if it did not say
    bool said_bye = false;
};

/// What is sent gathers until `flush`, which the owner calls in each turn of the loop. A peer that does not read is cut off at
/// `most_unsent_bytes`. The session is held by shared pointers; libuv has its handle, and the bytes of a write that is under way,
/// for a turn of the loop longer, which has to run that turn.
class session : public std::enable_shared_from_this<session> {
  public:
    static constexpr std::size_t most_unsent_bytes = 64 * 1024 * 1024;

    session(uv_loop_t *loop, session_events events);
    ~session();
    session(const session &) = delete;
    session &operator=(const session &) = delete;

    /// Take the connection that waits at a listening socket, or one that is open; false if there is none. Either once, before `start`.
    bool accept(uv_stream_t *waiting) noexcept;
    bool open(int descriptor) noexcept;

    /// Reads from now on.
    void start();

    /// The socket; -1 if it is closed.
    int descriptor() const noexcept;

    /// Appends a frame, behind the answers that were given before it. Drops it if the session is closed, or the peer is so far behind
    /// that the next flush ends it.
    void send(std::string_view text);
    void send(const json_ptr &message);

    /// Gives an answer, a line of the next `accepted` frame: WORD and a task. Those of a turn share a frame.
    void answer(std::uint64_t id, std::string_view word, const task_line &task);
    void send_answers();

    /// Writes what gathered, unless a write is under way, which goes on by itself. Ends the session of a peer that does not read.
    void flush();

    /// Counts a question of the peer that will be answered. Ends the session, and is false, if more are open than may be: a gateway keeps
    /// to limits::requests_in_flight by itself.
    bool begin_question();
    void end_question() noexcept { --questions_; }

    /// The lines behind the message that is being taken.
    std::string_view lines() const noexcept { return reader_.lines(); }

    /// Bytes that the peer has not taken: those of the write that is under way, and what gathers meanwhile.
    std::size_t unsent() const noexcept;

    /// When something came last, in the loop's milliseconds.
    std::uint64_t heard_at() const noexcept { return heard_at_; }

    /// Ends the connection; does nothing if it has ended. A reason goes to the log and to the peer, an empty one means: in order.
    void end(const std::string &reason);

    /// Closes it without a word to anybody.
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
    void refuse(const std::string &reason);
    void break_off() const noexcept;

    session_events events_;
    uv_pipe_t *pipe_ = new uv_pipe_t{}; ///< lives until libuv has closed it; null: closed
    std::array<char, 65536> buffer_;
    frame_reader reader_;
    std::string answers_; ///< lines of the next `accepted`
    std::string out_;     ///< frames of the next write
    bool writing_ = false;
    std::size_t questions_ = 0; ///< of the peer, that it waits for an answer to
    std::uint64_t heard_at_;
};

} // namespace rollout
