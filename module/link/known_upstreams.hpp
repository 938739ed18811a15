// The upstreams that nginx's configuration has: rolloutd asks for them before it sends traffic to one.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

namespace rollout {

struct known_upstreams {
    /// Names of upstream blocks and, with their port, hosts of other directives: what `proxy_pass http://$rollout_upstream` finds. Nothing
    /// when there is no telling: no location uses the variable, one of them has a resolver, or they are too many.
    std::optional<std::vector<std::string>> names;

    /// Blocks of several servers which nginx takes out for a while after failures (`max_fails`), by upstream_key.
    std::set<std::string> taking_servers_out;

    /// Blocks without rollout_ready, by upstream_key.
    std::set<std::string> unready;
};

} // namespace rollout
