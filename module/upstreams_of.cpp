#include "module/upstreams_of.hpp"

#include "common/domain/limits.hpp"
#include "common/domain/upstream_name.hpp"
#include "module/configuration.hpp"
#include "module/handlers/ready_peers.hpp"

namespace rollout {

namespace {

/// Returns whether any directive uses the variable: nginx assigns an index to each variable in use.
bool uses_variable(ngx_cycle_t *cycle, std::string_view name)
{
    const auto *core =
        static_cast<ngx_http_core_main_conf_t *>(ngx_http_cycle_get_module_main_conf(cycle, ngx_http_core_module));
    const auto *variables = static_cast<const ngx_http_variable_t *>(core->variables.elts);
    for (ngx_uint_t i = 0; i < core->variables.nelts; ++i) {
        if (view_of(variables[i].name) == name) {
            return true;
        }
    }
    return false;
}


/// Returns whether the block has several servers, of which nginx takes at least one out of use after failures,
/// whichever model they are of. nginx never takes out a single server, and rollout_ready does not count failures of
/// green.
bool takes_servers_out(const ngx_http_upstream_srv_conf_t &block)
{
    if (block.servers == nullptr || (block.srv_conf != nullptr && ready_settings_of(&block).is_wrapped)) {
        return false;
    }
    const auto *servers = static_cast<const ngx_http_upstream_server_t *>(block.servers->elts);
    ngx_uint_t addresses = 0;
    bool counts_failures = false;
    for (ngx_uint_t i = 0; i < block.servers->nelts; ++i) {
        addresses += is_resolved(servers[i]) ? 2 : servers[i].naddrs; // a name may have several
        counts_failures = counts_failures || servers[i].max_fails != 0;
    }
    return addresses > 1 && counts_failures;
}

/// Returns the servers of a block with rollout_ready: as they are written, and their addresses. Nothing if there is one
/// whose addresses nginx does not know yet, or if the block's servers stand for those of another one.
std::vector<std::string> servers_of(const ngx_http_upstream_srv_conf_t &block)
{
    std::vector<std::string> all;
    const auto *servers = static_cast<const ngx_http_upstream_server_t *>(block.servers->elts);
    for (ngx_uint_t i = 0; i < block.servers->nelts && ready_settings_of(&block).as.data == nullptr; ++i) {
        if (servers[i].naddrs == 0 || is_resolved(servers[i])) {
            return {};
        }
        all.emplace_back(view_of(servers[i].name));
        for (ngx_uint_t j = 0; j < servers[i].naddrs; ++j) {
            if (view_of(servers[i].addrs[j].name) != all.back()) {
                all.emplace_back(view_of(servers[i].addrs[j].name));
            }
        }
    }
    return all;
}

} // namespace


known_upstreams upstreams_of(ngx_cycle_t *cycle)
{
    known_upstreams known;
    const auto *settings =
        static_cast<main_settings *>(ngx_http_cycle_get_module_main_conf(cycle, ngx_http_rollout_module));
    const auto *all = static_cast<ngx_http_upstream_main_conf_t *>(
        ngx_http_cycle_get_module_main_conf(cycle, ngx_http_upstream_module));
    if (settings == nullptr || all == nullptr || settings->route_used.file == nullptr ||
        !uses_variable(cycle, "rollout_upstream")) {
        return known;
    }
    std::vector<std::string> names;
    std::size_t bytes = 0;
    std::size_t server_bytes = 0;
    auto *const *blocks = static_cast<ngx_http_upstream_srv_conf_t **>(all->upstreams.elts);
    for (ngx_uint_t i = 0; i < all->upstreams.nelts; ++i) {
        const auto &block = *blocks[i];
        std::string name(view_of(block.host));
        if (block.port != 0) {
            name += ':' + std::to_string(block.port);
        } else if (block.srv_conf != nullptr) {
            if (takes_servers_out(block)) {
                known.taking_servers_out.insert(upstream_key(name));
            }
            if (!ready_settings_of(&block).is_wrapped) {
                known.unready.insert(upstream_key(name));
            } else if (auto servers = servers_of(block); !servers.empty()) {
                server_bytes += name.size();
                for (const auto &server : servers) {
                    server_bytes += server.size();
                }
                known.servers[name] = std::move(servers);
            }
        }
        bytes += name.size();
        names.push_back(std::move(name));
    }
    if (!settings->route_resolves && bytes <= limits::known_upstreams_bytes) {
        known.names = std::move(names);
    }
    if (server_bytes > limits::known_upstreams_bytes) {
        known.servers.clear();
    }
    return known;
}

} // namespace rollout
