// rollout_ready: of an upstream block's servers, only those that have the request's revision loaded.
//
// It wraps the block's balancing method, as nginx's own keepalive does. The method picks a server; if the revision is not loaded there,
// the pick is given back without a failure counted and without a try used up, and the method picks again: another one, as it
// has marked the first as tried. Which servers have the revision comes with its route; what that text means for this block is worked
// out once for each text and process. Requests that no rollout_route chose, and routes that name no servers, pass untouched.
//
// A failure of green is not counted against the server: nginx counts failures for all models together, and blue's would lose it.
#pragma once

#include "module/nginx/ngx.hpp"

#include <cstdint>

namespace rollout {

/// What a block with rollout_ready knows of its servers; kept in the configuration's memory, its cache by each process for itself.
struct ready_settings {
    /// An address of a `server` of the block.
    struct address {
        const ngx_addr_t *is;
        ngx_str_t server; ///< as it is written in the block
        bool is_down;
    };

    /// Which of the addresses a list of peers means.
    struct reading {
        std::uint64_t hash;
        ngx_str_t text; ///< the list; no data: none has been read here
        std::size_t capacity;
        std::uintptr_t *bits;
        ngx_uint_t tries; ///< servers that may be tried
    };

    static constexpr std::size_t max_addresses = 1024;
    static constexpr std::size_t max_readings = 64;

    u_char *file = nullptr; ///< where rollout_ready stands; null: not in this block
    ngx_uint_t line = 0;
    bool is_wrapped = false; ///< its balancing method is
    ngx_pool_t *pool = nullptr;
    ngx_http_upstream_init_pt init_upstream = nullptr; ///< the balancing method's
    ngx_http_upstream_init_peer_pt init_peer = nullptr;
    const ngx_str_t *name = nullptr; ///< the block's
    address *addresses = nullptr;
    std::size_t count = 0;
    reading *readings = nullptr; ///< `max_readings`, by the lists' hashes

    std::size_t words() const noexcept;
};

/// Of an explicit upstream block: one that a proxy_pass makes has none.
inline ready_settings &ready_settings_of(const ngx_http_upstream_srv_conf_t *block) noexcept
{
    return *static_cast<ready_settings *>(ngx_http_conf_upstream_srv_conf(block, ngx_http_rollout_module));
}


/// Wraps the block's method, for the directive. Null, or what is at fault, in words for nginx's error.
const char *wrap_balancing(ngx_conf_t *cf, ready_settings &settings) noexcept;

/// Once all is read: a balancing method that stands behind rollout_ready has taken its place, which is an error.
ngx_int_t check_balancing(ngx_conf_t *cf) noexcept;

} // namespace rollout
