// Tracks whether the nginx behind a gateway is alive: the processes that have linked themselves to rolloutd, and their
// master.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace rollout {

/// Returns the pid, as this process sees it, of the other end of a Unix socket; 0 if it is out of sight, in another
/// container.
int pid_of_peer(int socket) noexcept;

/// The processes of one gateway. Both ends of a Unix socket are on one machine, so none of them survives a reboot. In a
/// cluster, those of another machine may be read, which has or had the same name: nothing is known of these.
class peer_processes {
  public:
    /// Adds a worker process of nginx and its master; 0 stands for one that is out of sight.
    void add(int pid);

    /// Returns whether all have certainly ended. Never true if one is out of sight, or if none is known.
    bool are_gone() const;

    /// Returns the text for the journal, read back by `from_text`. An empty text comes from a rolloutd that did not
    /// record them.
    std::string text() const;
    static peer_processes from_text(std::string_view text);
    bool were_noted() const noexcept { return !boot_.empty(); }

    /// Returns the living processes, for a message: `process 123 lives`.
    std::string words() const;

  private:
    std::string boot_;
    std::string machine_;                  ///< empty: not noted, and taken for this one
    std::map<int, std::uint64_t> started_; ///< by pid, in ticks since boot; 0: unknown
    bool has_hidden_ = false;
};

} // namespace rollout
