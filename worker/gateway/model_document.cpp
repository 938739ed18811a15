#include "worker/gateway/model_document.hpp"

#include "common/domain/limits.hpp"
#include "worker/base/format.hpp"

#include <algorithm>
#include <optional>
#include <string_view>
#include <utility>

namespace rollout {

namespace {

/// Writes the servers that have all of the revision's copies; nothing for a backend with one server.
void put_servers(json_t *to, const served_revision &from)
{
    std::optional<std::vector<std::string>> common;
    for (const auto &copy : from.copies) {
        if (!copy.peers) {
            return;
        }
        if (!common) {
            common = copy.peers;
        }
        std::erase_if(*common, [&copy](const std::string &peer) {
            return std::ranges::find(*copy.peers, peer) == copy.peers->end();
        });
    }
    if (common) {
        json_put(to, "servers", json_make_array(*common));
    }
}


json_ptr placed(const std::optional<served_revision> &from)
{
    if (!from) {
        return json_ptr(json_null());
    }
    json_ptr to = json_make_object();
    json_put(to.get(), "revision", json_make_number(from->revision));
    json_put(to.get(), "upstream", from->upstream);
    json_put(to.get(), "model", from->names());
    json_put(to.get(), "backend", from->backend);
    put_servers(to.get(), *from);
    return to;
}


bool is_lost(const std::vector<lost_revision> &losses, const std::optional<served_revision> &which)
{
    return which && std::ranges::any_of(
                        losses, [&](const auto &lost) { return lost.revision == which->revision && !lost.partial; });
}


std::string_view state_of(const model &from, const std::vector<lost_revision> &losses)
{
    // A lost copy of a kept revision changes nothing for the model's clients.
    if (is_lost(losses, from.blue) || is_lost(losses, from.green)) {
        return std::ranges::any_of(losses, &lost_revision::reloading)     ? "reloading"
               : std::ranges::all_of(losses, &lost_revision::unreachable) ? "unreachable"
                                                                          : "lost";
    }
    return from.green || from.incoming ? "rolling_out" : from.blue ? "deployed" : "retiring";
}

} // namespace


json_ptr model_document(const model &from, const std::vector<lost_revision> &losses,
                        const std::vector<std::string> &tasks, const std::string &unreached)
{
    json_ptr to = json_make_object();
    json_put(to.get(), "model_id", from.model_id);
    json_put(to.get(), "embedding_model_id", from.model_id);
    json_put(to.get(), "state", state_of(from, losses));
    std::string detail;
    for (const auto &lost : losses) {
        detail += (detail.empty() ? "" : " ") + lost.detail;
    }
    if (!unreached.empty()) {
        detail += (detail.empty() ? "" : " ") + unreached;
    }
    if (!detail.empty()) {
        json_put(to.get(), "detail", clean_text(detail, limits::detail_characters));
    }
    json_put(to.get(), "blue", placed(from.blue));
    json_put(to.get(), "green", placed(from.green ? from.green : from.incoming));
    json_put(to.get(), "weight", json_make_number(from.weight));
    json_put(to.get(), "last_revision", json_make_number(from.last_revision));
    json_ptr kept = json_make_array();
    for (const auto &revision : from.kept) {
        json_ptr entry = json_make_object();
        json_put(entry.get(), "revision", json_make_number(revision.revision));
        json_put(entry.get(), "loaded", json_ptr(json_boolean(revision.load_begun && !is_lost(losses, revision))));
        put_servers(entry.get(), revision);
        json_add(kept.get(), std::move(entry));
    }
    json_put(to.get(), "kept", std::move(kept));
    json_put(to.get(), "task_ids", json_make_array(tasks));
    return to;
}

} // namespace rollout
