// Which of several rolloutd runs scheduler and engine: one at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

namespace rollout {

/// A term of leadership. Each is greater than those before it, and every write of the engine compares it: what a rolloutd
/// believes of itself only keeps it from trying.
using leader_token = std::int64_t;

struct known_leader {
    std::string host;
    leader_token token = 0;

    bool operator==(const known_leader &) const = default;
};

/// Used on the loop's thread. Callbacks come from the loop, never from inside a call, and may destroy the object.
class leadership {
  public:
    virtual ~leadership() = default;

    /// Begins. Set the callbacks before.
    virtual void start() = 0;

    /// Returns this rolloutd's term while it leads. None once its time is over, even if on_deposed is yet to come.
    virtual std::optional<leader_token> token() const = 0;

    /// Returns who leads, as far as is known here. None: nobody does, or nobody could be asked yet.
    virtual std::optional<known_leader> leader() const = 0;

    /// Returns why no leader can be known or elected, a sentence; empty if nothing stands in the way.
    virtual std::string trouble() const = 0;

    /// Whether this rolloutd is a candidate: the configuration's `leader`. One that leads and may not any more is deposed.
    virtual void stand(bool wanted) = 0;

    /// Gives the term up, so that another one is elected at once, and wants none any more. `on_deposed` does not come. The
    /// callback comes when it is given up, or could not be.
    virtual void resign(std::function<void()> done) = 0;

    std::function<void(leader_token)> on_elected;
    std::function<void(std::string why)> on_deposed;

    /// What leader() or trouble() returns has changed.
    std::function<void()> on_change;
};

} // namespace rollout
