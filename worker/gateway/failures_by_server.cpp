#include "worker/gateway/failures_by_server.hpp"

#include "common/domain/limits.hpp"
#include "common/domain/upstream_name.hpp"

#include <algorithm>
#include <set>

namespace rollout {

namespace {

std::set<std::uint64_t> routed_revisions(const published_routes &routes, const std::string &model_id)
{
    std::set<std::uint64_t> all;
    for (const auto &part : routes.of(model_id)) {
        for (const auto *slot : {&part.blue, &part.green}) {
            if (slot->has_value()) {
                all.insert((*slot)->revision);
            }
        }
    }
    return all;
}

} // namespace


void failures_by_server::add(const json_t *message, const published_routes &routes)
{
    const json_t *list = json_object_get(message, "servers");
    for (std::size_t i = 0; i < json_array_size(list); ++i) {
        const json_t *entry = json_array_get(list, i);
        const std::string model_id(json_text(entry, "model_id"));
        const std::string peer(json_text(entry, "peer"));
        const auto revision = json_count(entry, "revision");
        const auto routed = routed_revisions(routes, model_id);
        if (!routed.contains(revision) || !is_peer(peer)) {
            continue;
        }
        auto &model = models_[model_id];
        std::erase_if(model, [&routed](const auto &known) { return !routed.contains(known.first); });
        auto &servers = model[revision];
        if (servers.contains(peer) || servers.size() < limits::backend_servers) {
            servers[peer] += json_count(entry, "failures");
        }
    }
}


gateway_control::server_failures failures_by_server::of(const std::string &model_id, std::uint64_t revision) const
{
    const auto model = models_.find(model_id);
    if (model == models_.end()) {
        return {};
    }
    const auto known = model->second.find(revision);
    return known == model->second.end() ? gateway_control::server_failures() : known->second;
}

} // namespace rollout
