// rolloutd's socket before its gateways can be served: nginx is told why, and says so to its clients.
#pragma once

#include "worker/config/settings.hpp"
#include "worker/gateway/listener.hpp"
#include "worker/gateway/session.hpp"

#include <uv.h>

#include <list>
#include <string>
#include <utility>

namespace rollout {

/// The loop outlives it, and runs once more after it is closed or destroyed.
class refusing_listener {
  public:
    explicit refusing_listener(uv_loop_t *loop);
    ~refusing_listener();
    refusing_listener(const refusing_listener &) = delete;
    refusing_listener &operator=(const refusing_listener &) = delete;

    /// Opens the socket; throws as listener::open does.
    void open(const settings &from) { listener_.open(from); }

    /// Sets what each worker process of nginx is told that says hello from now on: a sentence without its full stop.
    void say(std::string why) { why_ = std::move(why); }

    /// Removes the socket, and ends the connections.
    void close() noexcept;

  private:
    void accept(uv_stream_t *waiting);

    uv_loop_t *loop_;
    listener listener_;
    std::list<session_ptr> sessions_; ///< that have not said hello yet
    std::string why_;
};

} // namespace rollout
