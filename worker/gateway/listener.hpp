// The socket where nginx's worker processes connect: checks which users may, and notices when nobody can.
#pragma once

#include "worker/config/settings.hpp"

#include <uv.h>

#include <cstddef>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>

namespace rollout {

/// The loop outlives this, and runs once more after it is closed or destroyed.
class listener {
  public:
    /// `on_connection` accepts, with uv_accept, the connection that waits there.
    listener(uv_loop_t *loop, std::function<void(uv_stream_t *waiting)> on_connection);
    ~listener();
    listener(const listener &) = delete;
    listener &operator=(const listener &) = delete;

    /// Opens the socket of `from.listen`. Throws std::runtime_error if another process listens there, if the path
    /// cannot be used, or if a user of allow_users does not exist.
    void open(const settings &from);

    /// Returns the name of the user at the other end of a connection if that user may not connect; an empty name if
    /// it is unknown.
    std::optional<std::string> stranger_at(int descriptor);

    /// Returns why a connection is turned away, the end of a sentence, where there are so many with it; empty: it is not.
    std::string refusal_of(int descriptor, std::size_t links);

    /// Checks whether there are descriptors for connections: if there are none, libuv closes new connections without
    /// reporting it.
    void check_descriptors();

    /// Removes the socket's path and closes the socket.
    void close();

  private:
    [[noreturn]] void throw_cannot_open(int rc) const; ///< `rc` is an error of libuv's
    void close_handle();
    void note_deafness(const std::string &why);

    uv_loop_t *loop_;
    std::function<void(uv_stream_t *)> on_connection_;
    std::string path_;
    std::set<unsigned> allowed_uids_;               ///< empty: all
    std::map<unsigned, std::string> refused_users_; ///< their names
    uv_pipe_t *socket_ = nullptr;                   ///< lives until libuv has closed it; null: not open
    bool deafness_logged_ = false;                  ///< the lack of descriptors for connections has been logged
};

} // namespace rollout
