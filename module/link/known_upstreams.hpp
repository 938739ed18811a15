// The upstreams in nginx's configuration: rolloutd asks for them before it sends traffic to one.
#pragma once

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

    /// Blocks without rollout_ready, by upstream_key.
    std::set<std::string> unready;
};

} // namespace rollout
