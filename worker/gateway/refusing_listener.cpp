#include "worker/gateway/refusing_listener.hpp"

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
    if (const auto why = listener_.refusal_of(link->descriptor(), sessions_.size()); !why.empty()) {
        link->turn_away(why);
    } else {
        link->start();
    }
}

} // namespace rollout
