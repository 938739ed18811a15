// Names of a backend and its servers on nginx's side: `$rollout_upstream` in proxy_pass, and the `server`s of its
// block.
#pragma once

#include <string>
#include <string_view>

namespace rollout {

/// Returns whether this is a Unix socket, or an IP address with or without a port: nginx needs neither an upstream
/// block nor a resolver for it.
bool is_upstream_address(std::string_view upstream);

/// Returns whether this is `host:port` with a host name. No upstream block can have such a name: nginx removes the
/// port before it looks for a block.
bool is_host_and_port(std::string_view upstream);

/// Returns the name in the case in which upstream blocks are compared.
std::string upstream_key(std::string_view upstream);

/// Returns whether the text is valid as a peer: `host:port`, `[IPv6]:port` or `unix:/path`, as a `server` of an
/// upstream block names it, with its port.
bool is_peer(std::string_view text);

} // namespace rollout
