#include "worker/gateway/published_routes.hpp"

#include "common/link/frame.hpp"

#include <algorithm>

namespace rollout {

namespace {

/// The size of a part of a full set: nginx parses each part, and puts it in force, in one turn of its event loop.
constexpr std::size_t part_bytes = 16 * 1024;

} // namespace


void published_routes::put(const route &to_follow, std::uint64_t revision)
{
    const std::pair key{to_follow.model_id, to_follow.part};
    revision_ = std::max(revision_, revision);
    if (to_follow.removed()) {
        routes_.erase(key);
    } else {
        routes_[key] = to_follow;
    }
}


std::vector<route> published_routes::of(const std::string &model_id) const
{
    std::vector<route> all;
    for (auto it = routes_.lower_bound({model_id, ""}); it != routes_.end() && it->first.first == model_id; ++it) {
        all.push_back(it->second);
    }
    return all;
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
    for (const auto &[_, to_follow] : routes_) {
        json_ptr text = route_to_json(to_follow);
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
