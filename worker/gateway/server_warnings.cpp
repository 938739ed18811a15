#include "worker/gateway/server_warnings.hpp"

#include "worker/base/log.hpp"
#include "worker/config/backend_servers.hpp"

#include <cstddef>
#include <optional>

namespace rollout {

void server_warnings::use(const settings &from)
{
    servers_.clear();
    warned_.clear();
    for (const auto &[name, backend] : from.backends) {
        for (std::size_t i = 0; i < backend.servers.size(); ++i) {
            servers_.push_back({pointer_to_peer(name, i), name, backend.upstream, backend.servers[i].peer});
        }
    }
}


void server_warnings::check(const session_peer &by)
{
    for (const auto &server : servers_) {
        if (by.servers.lacks(server.upstream, server.peer) &&
            warned_.insert(by.gateway + ' ' + server.pointer).second) {
            log(log_level::warning,
                "No request reaches a server of a backend: nginx's upstream block \"" + server.upstream +
                    "\" has no server " + server.peer +
                    "; add it to the block, or write the address that the block "
                    "has at " +
                    server.pointer,
                {{"gateway", by.gateway}, {"pid", std::to_string(by.pid)}, {"server", server.peer}});
        }
    }
}


std::string server_warnings::sentences_of(const model &of, const gateway_registry &gateways) const
{
    std::string text;
    for (const auto &server : servers_) {
        const auto is_on = [&server](const std::optional<served_revision> &revision) {
            return revision && revision->backend == server.backend && revision->upstream == server.upstream;
        };
        if ((is_on(of.blue) || is_on(of.green)) &&
            !gateways.servers_missing_in(server.upstream, {server.peer}).empty()) {
            text += (text.empty() ? "" : " ") +
                    ("nginx's upstream block \"" + server.upstream + "\" has no server " + server.peer + " (" +
                     server.pointer + "), so that no request reaches it.");
        }
    }
    return text;
}

} // namespace rollout
