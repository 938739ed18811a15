// Warns of servers in rolloutd.json that are in no upstream block of a gateway, once for each gateway and server.
#pragma once

#include "worker/config/settings.hpp"
#include "worker/gateway/session.hpp"

#include <set>
#include <string>
#include <vector>

namespace rollout {

class server_warnings {
  public:
    /// Takes over a configuration, of which nothing has been said yet.
    void use(const settings &from);

    /// Checks what a worker process has said of its upstream blocks, and logs what is missing there.
    void check(const session_peer &by);

  private:
    struct configured_server {
        std::string pointer; ///< in rolloutd.json
        std::string upstream;
        std::string peer;
    };

    std::vector<configured_server> servers_;
    std::set<std::string> warned_; ///< gateways with pointers
};

} // namespace rollout
