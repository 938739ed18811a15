// One gateway, which is one shared memory zone of nginx: the links of its worker processes, and the stream of routes
// and tasks that one of them carries into that zone.
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

/// The state of a gateway's stream.
enum class stream_state : std::uint8_t {
    offline,     ///< no worker process is linked
    greeting,    ///< a link is to carry the stream, and has not yet said where to begin
    catching_up, ///< tasks that the table lacks are sent, page by page, as fast as they are read
    live,        ///< the table is up to date; changes go out at once, or in pages if the link has no room
};

/// Owns its sessions; the journal and the routes outlive it. Pages that the journal reads for a stream that has ended
/// are dropped.
class gateway_replica {
  public:
    struct surroundings {
        rollout::journal &journal;
        const published_routes &routes;

        /// Returns whether other gateways are linked, which may know of a task first: then the table is never told
        /// that it is complete.
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

    /// Returns the link that carries the stream; null if it is offline.
    const session_ptr &stream() const noexcept { return stream_; }

    /// Adds the link of a worker process. The first link carries the stream.
    void add(const session_ptr &link);

    /// Removes a link that has ended. If it carried the stream, the oldest other link is told to carry it, and says
    /// hello.
    void remove(const session_ptr &link);

    /// Sends all routes, then the tasks that changed after `position`, then changes as they happen. Starts over if it
    /// is called again.
    void start_stream(std::uint64_t position);

    /// What the journal has was replaced, and the routes were read anew: they are sent, and what follows. Of another
    /// journal (`is_other`), the gateway is taken to follow nothing, and its links are to end.
    void on_replaced(bool is_other);

    /// Sends a frame of routes if the stream runs.
    void send_routes(std::string_view frame);

    /// Sends all tasks that changed between two revisions of the journal; if the stream is behind, they are read
    /// later.
    void send_tasks(const std::vector<task_row> &rows, std::uint64_t before, std::uint64_t now);

    /// Notes that an answer over that link contains a new task: if the link carries the stream, the change need not
    /// be sent as well.
    void note_told(const session &by, std::uint64_t revision);

    /// Tells every worker process whether there are other gateways, as each reads by itself. Alone, a gateway treats
    /// its table as complete, and answers 404 without asking. Otherwise a task may be acknowledged by another gateway
    /// before this one learns of it, so it asks.
    void tell_shared(bool shared);

    /// Sends the next page, if the gateway lacks something and there is room.
    void pump();

    /// Notes that the gateway has the routes up to that revision in force.
    void confirm(std::uint64_t routes_revision) noexcept;

    /// Returns up to which revision it is known to follow the routes: 0 if it is offline.
    std::uint64_t followed() const noexcept { return is_linked() ? confirmed_ : 0; }

    /// Returns up to which revision it has ever followed the routes: it does not go back, even while it is offline.
    std::uint64_t confirmed() const noexcept { return confirmed_; }

    /// Returns whether any of its worker processes can send requests to that upstream.
    bool has_upstream(const std::string &upstream) const;

    /// Returns whether the upstream block has that server, according to one of its worker processes, or if none says.
    bool has_server(const std::string &upstream, const std::string &peer) const;

  private:
    /// What an update says of the table once it is applied.
    enum class table_state : std::uint8_t {
        partial,
        filled,   ///< it holds everything that there was
        complete, ///< and no other gateway may know more
    };

    std::vector<std::uint64_t> take_told(std::uint64_t up_to);
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
    std::shared_ptr<const void> run_; ///< of the stream, from its start: pages of an earlier one are dropped
    bool reading_ = false;            ///< a page of the stream is being read
    std::uint64_t sent_ = 0;          ///< the tasks up to this revision are on their way
    std::vector<std::uint64_t> told_; ///< revisions of new tasks that answers told it of, and no change yet
    std::uint64_t confirmed_ = 0;     ///< it follows the routes up to this revision
};

} // namespace rollout
