// A link's connection, and what its gateway has been told: the parts of gateway_server that hold state.
#pragma once

#include "common/base/unique_fd.hpp"
#include "common/link/frame.hpp"
#include "worker/gateway/gateway_server.hpp"
#include "worker/os/peer_processes.hpp"

#include <array>

namespace rollout {

/// One nginx worker process's connection. Its pipe lives until libuv has closed it.
struct gateway_server::session : std::enable_shared_from_this<gateway_server::session> {
    using read_fn = std::function<void(const session_ptr &, std::string_view)>;
    using end_fn = std::function<void(const session_ptr &, const std::string &)>;
    using written_fn = std::function<void(const session_ptr &)>;

    explicit session(gateway_server &) {}

    void start(read_fn on_read, end_fn on_end);

    /// Writes what gathered in `out`, unless a write is under way; that one calls `then` and goes on by itself.
    void flush(const written_fn &then);

    /// As a network would: the frames that come after are lost, and the read side tells of the end.
    void break_off() const noexcept;

    /// What gathered in `out`, before the end: as much as the socket takes at once, also where the end of an earlier write has
    /// not been heard of yet.
    void write_now();

    void close();
    bool closed() const noexcept { return pipe == nullptr; }

    /// Bytes that the peer has not taken: those of the write that is under way, and what gathers meanwhile.
    std::size_t unsent() const noexcept;

    uv_pipe_t *pipe = new uv_pipe_t{};
    frame_reader reader;
    std::string answers;             ///< lines of the next `accepted`
    std::vector<std::uint64_t> told; ///< the revisions of new tasks that those bring, since the last update
    std::string out;
    bool writing = false;
    gateway *of = nullptr;
    int pid = 0;      ///< as it calls itself
    int peer_pid = 0; ///< as rolloutd sees it; 0: it is out of sight
    std::optional<std::set<std::string>>
        upstreams;              ///< that its configuration has, by upstream_key; nothing where it did not say
    std::uint64_t position = 0; ///< what its hello said the table is filled to, of this journal
    bool said_bye = false;
    std::uint64_t heard = 0;                      ///< when something came from it last, in the loop's milliseconds
    std::size_t questions = 0;                    ///< that it waits for an answer to
    std::map<std::uint64_t, std::string> watches; ///< the task that each of them is about

  private:
    struct write_request;

    static void on_written(uv_write_t *request, int status);

    read_fn on_read_;
    end_fn on_end_;
    std::array<char, 65536> buffer_;
};

/// One shared memory of nginx.
struct gateway_server::gateway {
    std::string id;
    std::list<session_ptr> sessions;
    session_ptr stream;           ///< the one that carries its updates
    bool streaming = false;       ///< and has said where to begin
    std::uint64_t applied = 0;    ///< it follows the routes up to here
    std::uint64_t sent = 0;       ///< the tasks up to here are on their way
    bool told_complete = false;   ///< that what was sent is all there is
    bool paging = false;          ///< a page is being read
    std::uint64_t generation = 0; ///< of the stream: pages for an older one are dropped
    peer_processes processes;
    bool lost = false; ///< no link since `lost_since` (the loop's milliseconds)
    std::uint64_t lost_since = 0;
    std::int64_t lost_since_us = 0; ///< the same for people, since 1970
    bool told_lost = false;         ///< the log says so
};

} // namespace rollout
