#include "worker/gateway/published_routes.hpp"

#include "common/link/frame.hpp"

#include <algorithm>
#include <iterator>

namespace rollout {

namespace {

/// The size of a part of a full set: nginx parses each part, and puts it in force, in one turn of its event loop.
constexpr std::size_t part_bytes = 16 * 1024;


bool may_be_loaded(const served_revision &retired) noexcept
{
    return retired.load_begun && !retired.drained;
}


bool leads_to(const published_routes::target &which, const std::optional<route_target> &slot)
{
    return slot && slot->revision == which.revision && slot->model == which.server_model;
}

} // namespace


/// The revision of the newest route is not in the journal, but that of its model is: no gateway follows a newer one.
void published_routes::load(const model &from)
{
    follow(from);
    revision_ = std::max(revision_, from.route_revision);
    note_changed(from);
}


std::vector<route> published_routes::follow(const model &changed)
{
    std::vector<route> others;
    for (const auto &part : routes_of(changed, durable_of(changed.model_id))) {
        const std::pair key{part.model_id, part.part};
        const auto before = routes_.find(key);
        if (before == routes_.end() ? part.removed() : before->second == part) {
            continue;
        }
        revision_ = std::max(revision_, changed.route_revision);
        note_changed(changed);
        if (part.removed()) {
            routes_.erase(before);
        } else {
            routes_[key] = part;
        }
        others.push_back(part);
    }
    models_revision_ = std::max(models_revision_, changed.route_revision);
    note_unrouted(changed);
    drop_peers_of(changed.model_id, true);
    std::ranges::transform(others, others.begin(), [this](const route &part) { return in_force(part); });
    return others;
}


std::vector<route> published_routes::set_peers(const target &which,
                                               const std::optional<std::vector<std::string>> &peers)
{
    const auto before = of(which.model_id);
    peers_[which] = peers;
    drop_peers_of(which.model_id, false); // a write that is under way may lead to it
    auto now = of(which.model_id);
    std::erase_if(now, [&before](const route &part) { return std::ranges::find(before, part) != before.end(); });
    return now;
}


std::vector<route> published_routes::reset_peers()
{
    std::vector<route> others;
    for (const auto &[key, durable] : routes_) {
        if (!(in_force(durable) == durable)) {
            others.push_back(durable);
        }
    }
    peers_.clear();
    return others;
}


void published_routes::note_unrouted(const model &of)
{
    std::vector<local_gateways::unrouted_revision> all;
    for (const auto *left : {&of.retired, &of.kept}) {
        for (const auto &revision : *left) {
            if (may_be_loaded(revision)) {
                all.push_back({of.model_id, revision.revision, revision.parts(), 0});
            }
        }
    }
    if (all.empty()) {
        unrouted_.erase(of.model_id);
    } else {
        unrouted_[of.model_id] = std::move(all);
    }
}


std::vector<local_gateways::unrouted_revision> published_routes::unrouted() const
{
    std::vector<local_gateways::unrouted_revision> all;
    for (const auto &[model_id, of_model] : unrouted_) {
        for (const auto &revision : of_model) {
            all.push_back(revision);
            all.back().routed_at = changed_at(model_id);
        }
    }
    return all;
}


void published_routes::note_changed(const model &of)
{
    auto &at = changed_at_[of.model_id];
    if (const auto before = changes_.find(at); before != changes_.end()) {
        changes_.erase(before);
    }
    at = of.route_revision;
    changes_.insert(at);
}


std::uint64_t published_routes::change_up_to(std::uint64_t revision) const
{
    const auto next = changes_.upper_bound(revision);
    return next == changes_.begin() ? 0 : *std::prev(next);
}


std::uint64_t published_routes::changed_at(const std::string &model_id) const
{
    const auto known = changed_at_.find(model_id);
    return known == changed_at_.end() ? 0 : known->second;
}


std::vector<route> published_routes::of(const std::string &model_id) const
{
    auto all = durable_of(model_id);
    std::ranges::transform(all, all.begin(), [this](const route &part) { return in_force(part); });
    return all;
}


std::vector<route> published_routes::durable_of(const std::string &model_id) const
{
    std::vector<route> all;
    for (auto it = routes_.lower_bound({model_id, ""}); it != routes_.end() && it->first.first == model_id; ++it) {
        all.push_back(it->second);
    }
    return all;
}


route published_routes::in_force(const route &durable) const
{
    route part = durable;
    for (auto *slot : {&part.blue, &part.green}) {
        if (!*slot) {
            continue;
        }
        const auto known = peers_.find({part.model_id, (*slot)->revision, (*slot)->model});
        if (known != peers_.end()) {
            (*slot)->peers = known->second;
        }
    }
    return part;
}


/// Drops those servers of a model's revisions that the journal knows as well, and with `also_unused` those that nothing
/// leads to.
void published_routes::drop_peers_of(const std::string &model_id, bool also_unused)
{
    auto known = peers_.lower_bound({model_id, 0, ""});
    if (known == peers_.end() || known->first.model_id != model_id) {
        return;
    }
    const auto routes = durable_of(model_id);
    while (known != peers_.end() && known->first.model_id == model_id) {
        bool is_used = false;
        bool is_needed = false;
        for (const auto &part : routes) {
            for (const auto *slot : {&part.blue, &part.green}) {
                if (leads_to(known->first, *slot)) {
                    is_used = true;
                    is_needed = is_needed || (*slot)->peers != known->second;
                }
            }
        }
        known = is_needed || (!is_used && !also_unused) ? std::next(known) : peers_.erase(known);
    }
}


std::string published_routes::change(const route &to_follow, std::uint64_t revision)
{
    json_ptr message = message_of(rolloutd_frame::routes);
    json_put(message.get(), "revision", json_make_number(revision));
    json_ptr list = json_make_array();
    json_add(list.get(), route_to_json(to_follow));
    json_put(message.get(), "routes", std::move(list));
    return json_compact(message.get());
}


std::vector<std::string> published_routes::full_set() const
{
    std::vector<std::string> frames;
    json_ptr list = json_make_array();
    std::size_t bytes = 0;
    const auto end_part = [&](bool last) {
        json_ptr message = message_of(rolloutd_frame::routes);
        json_put(message.get(), "revision", json_make_number(revision_));
        json_put(message.get(), "begin", json_ptr(json_boolean(frames.empty())));
        json_put(message.get(), "end", json_ptr(json_boolean(last)));
        json_put(message.get(), "routes", std::move(list));
        frames.push_back(json_compact(message.get()));
        list = json_make_array();
        bytes = 0;
    };
    for (const auto &[_, durable] : routes_) {
        json_ptr text = route_to_json(in_force(durable));
        bytes += json_compact(text.get()).size();
        json_add(list.get(), std::move(text));
        if (bytes > part_bytes) {
            end_part(false);
        }
    }
    end_part(true);
    return frames;
}


std::set<std::string> published_routes::upstreams() const
{
    std::set<std::string> all;
    for (const auto &[_, to_follow] : routes_) {
        for (const auto *slot : {&to_follow.blue, &to_follow.green}) {
            if (slot->has_value()) {
                all.insert((*slot)->upstream);
            }
        }
    }
    return all;
}

} // namespace rollout
