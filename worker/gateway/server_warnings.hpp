// Warns of servers in rolloutd.json that are in no upstream block of a gateway: in the log once for each gateway and
// server, and in the documents of the models that are on them.
#pragma once

#include "worker/config/settings.hpp"
#include "worker/domain/model.hpp"
#include "worker/gateway/gateway_registry.hpp"
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

    /// Returns which servers of the model's revisions no request reaches, as sentences; empty if there are none.
    std::string sentences_of(const model &of, const gateway_registry &gateways) const;

  private:
    struct configured_server {
        std::string pointer; ///< in rolloutd.json
        std::string backend;
        std::string upstream;
        std::string peer;
    };

    std::vector<configured_server> servers_;
    std::set<std::string> warned_; ///< gateways with pointers
};

} // namespace rollout
