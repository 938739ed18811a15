#include "worker/gateway/refusing_listener.hpp"

#include "common/domain/limits.hpp"

#include <memory>
#include <string_view>
#include <utility>

namespace rollout {

refusing_listener::refusing_listener(uv_loop_t *loop)
    : loop_(loop), listener_(loop, [this](uv_stream_t *waiting) { accept(waiting); })
{
}


refusing_listener::~refusing_listener()
{
    close();
}


void refusing_listener::close() noexcept
{
    while (!sessions_.empty()) {
        const auto link = std::move(sessions_.front());
        sessions_.pop_front();
        link->close();
    }
    listener_.close();
}


/// The reason comes after the hello, as a connection that is closed with something unread is broken for the other end.
void refusing_listener::accept(uv_stream_t *waiting)
{
    const auto link = std::make_shared<session>(
        loop_,
        session_events{[this](const session_ptr &from, const json_t *, std::string_view) { from->turn_away(why_); },
                       [](const session_ptr &) {}, [this](const session_ptr &which) { sessions_.remove(which); }});
    if (!link->accept(waiting)) {
        return;
    }
    sessions_.push_back(link);
    if (const auto stranger = listener_.stranger_at(link->descriptor())) {
        link->turn_away("user " + *stranger +
                        " is not in allow_users; name it in listen.allow_users of rolloutd.json");
    } else if (sessions_.size() > limits::gateway_links) {
        link->turn_away("there are " + std::to_string(limits::gateway_links) + " links already");
    } else {
        link->start();
    }
}

} // namespace rollout
