// rollout_ready: restricts an upstream block's servers to those that have the request's revision loaded.
//
// It wraps the block's balancing method, as nginx's own keepalive does. The method picks a server. If the revision is
// not loaded there, the pick is undone, without counting a failure or using up a try, and the method picks again:
// another server, because it has marked the first as tried. A route brings the list of servers that have its
// revision; each process works out once for each list's text what it means for this block. Requests that no
// rollout_route chose, and routes that name no servers, are not affected.
//
// A block of the same servers at other ports, as those of gRPC, names the block that has the addresses which rolloutd
// knows (`rollout_ready as=inference`): each of its servers stands for the one at the same position there.
//
// nginx may find the addresses of a host name at run time (`resolve`): such an address belongs to the server with that
// name, which nginx keeps beside it.
//
// A failure of green is not counted against the server: nginx counts failures for all models together, so blue's
// requests would lose the server.
#pragma once

#include "module/nginx/ngx.hpp"

#include <cstdint>
#include <string_view>

namespace rollout {

/// The servers of a block with rollout_ready. Kept in the configuration's memory; each process has its own cache.
struct ready_settings {
    /// An address of a `server` in the block.
    struct address {
        const ngx_addr_t *is; ///< of no use if nginx finds the server's addresses at run time
        const ngx_http_upstream_server_t *server;
        const ngx_http_upstream_server_t *known_as; ///< the server that rolloutd knows, of this block or of `as`
        bool is_down;
    };

    /// The addresses that a list of peers stands for.
    struct reading {
        std::uint64_t hash;
        ngx_str_t text; ///< the list; null data: none has been read into this entry
        std::size_t capacity;
        std::uintptr_t *bits;
        ngx_uint_t tries; ///< servers that may be tried
    };

    static constexpr std::size_t max_addresses = 1024;
    static constexpr std::size_t max_readings = 64;

    u_char *file = nullptr; ///< the position of rollout_ready; null: not in this block
    ngx_uint_t line = 0;
    bool is_wrapped = false; ///< the balancing method is wrapped
    ngx_pool_t *pool = nullptr;
    ngx_http_upstream_init_pt init_upstream = nullptr; ///< the balancing method's
    ngx_http_upstream_init_peer_pt init_peer = nullptr;
    const ngx_http_upstream_srv_conf_t *block = nullptr;
    ngx_str_t as{}; ///< the block whose servers rolloutd knows; null data: this one
    address *addresses = nullptr;
    std::size_t count = 0;
    bool resolves = false;       ///< nginx finds addresses of the block at run time
    reading *readings = nullptr; ///< `max_readings`, by the lists' hashes

    std::size_t words() const noexcept;
};

/// For an explicit upstream block: the implicit one of a proxy_pass has no settings.
inline ready_settings &ready_settings_of(const ngx_http_upstream_srv_conf_t *block) noexcept
{
    return *static_cast<ready_settings *>(ngx_http_conf_upstream_srv_conf(block, ngx_http_rollout_module));
}


/// Returns whether nginx finds the server's addresses at run time (`resolve`, from nginx 1.27.3 on), so that they are not
/// in its configuration.
bool is_resolved(const ngx_http_upstream_server_t &server) noexcept;

/// Returns the name by which rolloutd knows the server that an upstream has tried, which nginx calls `name`: that of the
/// route's `peers`, or nginx's if it is none of them. Empty if its block has no rollout_ready.
std::string_view known_peer_of(const ngx_http_upstream_t &upstream, const ngx_str_t &name,
                               std::string_view peers) noexcept;

/// Wraps the block's balancing method, for the directive. `as` may be empty. Returns null, or the text of nginx's error.
const char *wrap_balancing(ngx_conf_t *cf, ready_settings &settings, ngx_str_t as) noexcept;

/// Checks, after the whole configuration has been read, that no balancing method after rollout_ready has replaced the
/// wrapper, which is an error.
ngx_int_t check_balancing(ngx_conf_t *cf) noexcept;

} // namespace rollout
