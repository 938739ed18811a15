// One gateway, which is one shared memory of nginx: the links of its worker processes, and the stream of routes and tasks that one of
// them carries into that memory.
#pragma once

#include "worker/gateway/published_routes.hpp"
#include "worker/gateway/session.hpp"
#include "worker/journal/journal.hpp"

#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace rollout {

/// What a gateway's stream is at.
enum class stream_state : std::uint8_t {
    offline,     ///< no worker process is linked
    greeting,    ///< a link is to carry the stream, and has not said where to begin
    catching_up, ///< the tasks that the table lacks are sent, a page at a time, as fast as they are read
    live, ///< the table has been told of all; what changes goes out at once, or in pages if the link has no room
};

/// Holds its sessions; the journal and the routes outlive it. Pages that the journal reads for a stream that has ended are dropped.
class gateway_replica {
  public:
    struct surroundings {
        rollout::journal &journal;
        const published_routes &routes;

        /// Whether other gateways are linked, which may know of a task first: then the table is never told that it is complete.
        std::function<bool()> is_shared;

        /// A page could not be read: calls `pump` again after a pause.
        std::function<void()> pump_later;
    };

    gateway_replica(std::string id, surroundings around);
    gateway_replica(const gateway_replica &) = delete;
    gateway_replica &operator=(const gateway_replica &) = delete;

    const std::string &id() const noexcept { return id_; }
    stream_state state() const noexcept { return state_; }
    bool is_linked() const noexcept { return state_ != stream_state::offline; }
    const std::list<session_ptr> &links() const noexcept { return links_; }

    /// The link that carries the stream; null if it is offline.
    const session_ptr &stream() const noexcept { return stream_; }

    /// A worker process has linked itself. The first one's link is to carry the stream.
    void add(const session_ptr &link);

    /// A link has ended. If it carried the stream, the oldest of the others is told to, and says hello.
    void remove(const session_ptr &link);

    /// Sends all routes, then the tasks that changed after `position`, then what changes. Begins anew if it is called again.
    void start_stream(std::uint64_t position);

    /// A frame of the routes, while the stream runs.
    void send_routes(std::string_view frame);

    /// Tasks that changed, all that did from one revision of the journal to the next: sent, or read later if the stream is behind.
    void send_tasks(const std::vector<task_row> &rows, std::uint64_t before, std::uint64_t now);

    /// An answer over that link tells of a new task: its change need not be sent as well if the link carries the stream.
    void note_told(const session &by, std::uint64_t revision);

    /// A gateway takes what it holds for all there is, and answers 404 without asking. While there is another, a task may be answered
    /// there before this one hears of it: until then it asks. Every worker process is told, as each reads by itself.
    void tell_shared(bool shared);

    /// Sends the next page, if the gateway lacks something and there is room.
    void pump();

    /// The gateway has the routes up to there in force.
    void confirm(std::uint64_t routes_revision) noexcept;

    /// Up to where it is known to follow the routes: 0 if it is offline.
    std::uint64_t followed() const noexcept { return is_linked() ? confirmed_ : 0; }

    /// Whether any of its worker processes can send requests there.
    bool has_upstream(const std::string &upstream) const;

  private:
    /// What an update says of the table behind it.
    enum class table_state : std::uint8_t {
        partial,
        filled,   ///< it holds all that there was
        complete, ///< and no other gateway may know more
    };

    bool is_streaming() const noexcept { return state_ == stream_state::catching_up || state_ == stream_state::live; }
    table_state state_of_full_table() const;
    void on_page(std::uint64_t head, const outcome &ended, const std::vector<task_row> &rows);
    void send_update(const std::vector<task_row> &rows, std::uint64_t revision, table_state then,
                     std::span<const std::uint64_t> told = {});

    std::string id_;
    surroundings around_;
    std::list<session_ptr> links_;
    session_ptr stream_;
    stream_state state_ = stream_state::offline;
    std::shared_ptr<const void> run_; ///< of the stream, from its start on: pages of an earlier one are dropped
    bool reading_ = false;            ///< a page of it is being read
    std::uint64_t sent_ = 0;          ///< the tasks up to here are on their way
    std::vector<std::uint64_t> told_; ///< revisions of new tasks that answers brought since the last change
    std::uint64_t confirmed_ = 0;     ///< it follows the routes up to here
};

} // namespace rollout
