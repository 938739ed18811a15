// Whether the nginx behind a gateway lives: the processes that linked themselves to rolloutd, and their master.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace rollout {

/// The process at the other end of a Unix socket, as this process sees it; 0 if it is out of sight, in another container.
int pid_of_peer(int socket) noexcept;

/// The processes of one gateway. A Unix socket's both ends are on one machine, so that another boot of it has none of them.
class peer_processes {
  public:
    /// A worker process of nginx, and with it its master; 0: one that is out of sight.
    void add(int pid);

    /// Whether all have ended for certain. Never if one is out of sight, or none is known.
    bool are_gone() const;

    /// For the journal: read back by `from_text`. An empty text is of a rolloutd that did not note them.
    std::string text() const;
    static peer_processes from_text(std::string_view text);
    bool were_noted() const noexcept { return !boot_.empty(); }

    /// Those that live, for a sentence: `process 123 lives`.
    std::string words() const;

  private:
    std::string boot_;
    std::map<int, std::uint64_t> started_; ///< by pid, in ticks since the boot; 0: not known
    bool has_hidden_ = false;
};

} // namespace rollout
