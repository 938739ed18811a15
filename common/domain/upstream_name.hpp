// What a backend is called on nginx's side: `$rollout_upstream` in proxy_pass.
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

} // namespace rollout
