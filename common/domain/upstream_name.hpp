// What a backend and its servers are called on nginx's side: `$rollout_upstream` in proxy_pass, and the `server`s of its block.
#pragma once

#include <string>
#include <string_view>

namespace rollout {

/// A Unix socket, or an IP address with or without a port: nginx goes there without an upstream block and without a resolver.
bool is_upstream_address(std::string_view upstream);

/// `host:port` whose host is a name. No upstream block can be called so: nginx takes the port off before it looks for one.
bool is_host_and_port(std::string_view upstream);

/// In the case in which upstream blocks are compared.
std::string upstream_key(std::string_view upstream);

/// May it stand as a peer: `host:port`, `[IPv6]:port` or `unix:/path`, as a `server` of an upstream block names it, with its port.
bool is_peer(std::string_view text);

} // namespace rollout
