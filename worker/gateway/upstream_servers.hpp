// The servers of the upstream blocks in a worker process's configuration, according to its hello.
#pragma once

#include "common/base/json.hpp"

#include <map>
#include <set>
#include <string>

namespace rollout {

class upstream_servers {
  public:
    /// Reads a hello: its `servers` has, for each block with rollout_ready, the servers as they are written there and their
    /// addresses. Empty if the hello has none (an older release), or if they exceed limits::known_upstreams_bytes.
    static upstream_servers of_hello(const json_t *hello);

    /// Returns whether the block is known and none of its servers is that peer.
    bool lacks(const std::string &upstream, const std::string &peer) const;

  private:
    std::map<std::string, std::set<std::string>> blocks_; ///< the servers' keys, by the upstream's
};

} // namespace rollout
