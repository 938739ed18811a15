#include "common/domain/route.hpp"

#include "common/domain/identifiers.hpp"
#include "common/domain/limits.hpp"
#include "common/domain/upstream_name.hpp"

#include <algorithm>

namespace rollout {

namespace {

json_ptr target_to_json(const route_target &from)
{
    json_ptr to = json_make_object();
    json_put(to.get(), "revision", json_make_number(from.revision));
    json_put(to.get(), "upstream", from.upstream);
    json_put(to.get(), "model", from.model);
    if (from.peers) {
        json_put(to.get(), "peers", json_make_array(*from.peers));
    }
    return to;
}


bool is_plain(std::string_view text, std::size_t bound) noexcept
{
    return !text.empty() && text.size() <= bound && std::all_of(text.begin(), text.end(), [](char c) {
        return c > ' ' && c < 0x7f && c != '/' && c != '?' && c != '#' && c != '%' && c != '"' && c != '\\';
    });
}


bool peers_from_json(const json_t *from, std::optional<std::vector<std::string>> &to, std::string &reason)
{
    const json_t *list = json_object_get(from, "peers");
    if (list == nullptr) {
        return true;
    }
    if (!json_is_array(list) || json_array_size(list) > limits::backend_servers) {
        reason = "a route's target has no usable list of peers";
        return false;
    }
    to.emplace();
    for (std::size_t i = 0; i < json_array_size(list); ++i) {
        const auto peer = json_text(json_array_get(list, i));
        if (!is_peer(peer)) {
            reason = "a route's target names a peer that is no address";
            return false;
        }
        to->emplace_back(peer);
    }
    return true;
}


bool target_from_json(const json_t *from, route_target &to, std::string &reason)
{
    const auto revision = json_number(from, "revision", -1);
    to.upstream = json_text(from, "upstream");
    to.model = json_text(from, "model");
    if (revision < 0) {
        reason = "a route's target has no revision";
        return false;
    }
    if (!is_upstream(to.upstream) || !is_backend_model(to.model)) {
        reason = "a route's target has no usable upstream or model";
        return false;
    }
    to.revision = static_cast<std::uint64_t>(revision);
    return peers_from_json(from, to.peers, reason);
}

} // namespace


bool is_upstream(std::string_view text) noexcept
{
    return is_plain(text, limits::upstream_bytes);
}


bool is_backend_model(std::string_view text) noexcept
{
    // It is the name of a folder as well, and folders that begin with a dot belong to others.
    return is_plain(text, limits::backend_model_bytes) && text.front() != '.';
}


json_ptr route_to_json(const route &from)
{
    json_ptr to = json_make_object();
    json_put(to.get(), "model_id", from.model_id);
    json_put(to.get(), "part", from.part);
    if (from.removed()) {
        json_put(to.get(), "removed", json_ptr(json_true()));
        return to;
    }
    if (from.blue) {
        json_put(to.get(), "blue", target_to_json(*from.blue));
    }
    if (from.green) {
        json_put(to.get(), "green", target_to_json(*from.green));
    }
    json_put(to.get(), "weight", json_made(json_integer(from.weight)));
    if (from.watched) {
        json_put(to.get(), "watched", json_ptr(json_true()));
    }
    return to;
}


std::optional<route> route_from_json(const json_t *from, std::string &reason)
{
    route to;
    to.model_id = json_text(from, "model_id");
    to.part = json_text(from, "part");
    if (!is_model_id(to.model_id) || (!to.part.empty() && !is_model_id(to.part))) {
        reason = "a route without a usable model_id and part";
        return std::nullopt;
    }
    if (json_is_true(json_object_get(from, "removed"))) {
        return to;
    }

    const auto weight = json_number(from, "weight", -1);
    if (weight < 0 || weight > 100) {
        reason = "the route of model " + to.model_id + " has no weight from 0 to 100";
        return std::nullopt;
    }
    to.weight = static_cast<unsigned>(weight);
    to.watched = json_is_true(json_object_get(from, "watched"));

    for (auto [name, slot] : {std::pair{"blue", &to.blue}, std::pair{"green", &to.green}}) {
        if (const json_t *target = json_object_get(from, name)) {
            if (!target_from_json(target, slot->emplace(), reason)) {
                return std::nullopt;
            }
        }
    }
    if (to.removed()) {
        reason = "the route of model " + to.model_id + " has neither blue nor green";
        return std::nullopt;
    }
    return to;
}

} // namespace rollout
