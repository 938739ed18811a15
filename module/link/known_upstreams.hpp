// The upstreams in nginx's configuration: rolloutd asks for them before it sends traffic to one.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace rollout {

struct known_upstreams {
    /// The upstreams that `proxy_pass http://$rollout_upstream` finds: the names of upstream blocks, and the hosts,
    /// with their ports, of other directives. Nothing if they cannot be known: no location uses the variable, one of
    /// them has a resolver, or there are too many names.
    std::optional<std::vector<std::string>> names;

    /// Blocks of several servers which nginx takes out of use for a while after failures (`max_fails`), by
    /// upstream_key.
    std::set<std::string> taking_servers_out;

    /// The servers of the blocks with rollout_ready, by the block's name: as they are written there, and their addresses.
    /// Empty if they are too many. Without blocks that have servers whose addresses are not known yet.
    std::map<std::string, std::vector<std::string>> servers;

    /// Blocks without rollout_ready, by upstream_key.
    std::set<std::string> unready;
};

} // namespace rollout
