// The socket where nginx's worker processes connect: who may, and whether anybody can.
#pragma once

#include "worker/config/settings.hpp"

#include <uv.h>

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>

namespace rollout {

/// The loop outlives this, and runs once more after it is closed or gone.
class listener {
  public:
    /// `on_connection`: takes, with uv_accept, the connection that waits there.
    listener(uv_loop_t *loop, std::function<void(uv_stream_t *waiting)> on_connection);
    ~listener();
    listener(const listener &) = delete;
    listener &operator=(const listener &) = delete;

    /// Opens the socket of `from.listen`. Throws std::runtime_error if another process listens there, the path cannot be used, or a user
    /// of allow_users does not exist.
    void open(const settings &from);

    /// The user at the other end of a connection if it may not connect, as a name; empty: it is not known.
    std::optional<std::string> stranger_at(int descriptor);

    /// Notes whether there are descriptors for connections: libuv closes what comes while there is none, and tells nobody.
    void check_descriptors();

    /// Removes the socket's path, and closes it.
    void close();

  private:
    void close_handle();
    void note_deafness(const std::string &why);

    uv_loop_t *loop_;
    std::function<void(uv_stream_t *)> on_connection_;
    std::string path_;
    std::set<unsigned> allowed_uids_;               ///< empty: all
    std::map<unsigned, std::string> refused_users_; ///< their names
    uv_pipe_t *socket_ = nullptr;                   ///< lives until libuv has closed it; null: not open
    bool deafness_logged_ = false;                  ///< there are no descriptors for connections, and the log says so
};

} // namespace rollout
