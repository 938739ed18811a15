// A route: where a model's requests go. rolloutd decides it, the gateway follows it.
//
// In a `routes` frame: {"model_id": "123", "part": "", "blue": TARGET, "green": TARGET, "weight": 0..100, "watched": true}, a TARGET being
// {"revision": 7, "upstream": "inference", "model": "123__r7", "peers": ["10.0.0.1:8000"]}. `peers` are those of the upstream block's
// servers that have the revision loaded; left out, all have. `green` is left out when there is none; with
// "removed": true instead of `blue`, the model has no route any more. `watched` stands where blue's requests are to be
// counted although there is no green: after a promotion that may still be taken back.
#pragma once

#include "common/base/json.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace rollout {

/// One revision of a model as the gateway reaches it.
struct route_target {
    std::uint64_t revision = 0;
    std::string upstream; ///< an upstream block's name, or host:port
    std::string model;    ///< the name that the inference server knows
    std::optional<std::vector<std::string>> peers =
        std::nullopt; ///< the servers that have it; nothing: all of the upstream's

    bool operator==(const route_target &) const = default;
};

struct route {
    std::string model_id;
    std::string part; ///< empty for a model of one part
    std::optional<route_target> blue;
    std::optional<route_target> green;
    unsigned weight = 0;  ///< green's share of the requests, in percent
    bool watched = false; ///< the results of the requests are counted, as they are with a green

    bool operator==(const route &) const = default;

    /// A route without a target tells the gateway to forget the model.
    bool removed() const noexcept { return !blue && !green; }
};

/// May it stand as a target's upstream, or as its model: no byte that could end a header, a host or a path's component.
bool is_upstream(std::string_view text) noexcept;
bool is_backend_model(std::string_view text) noexcept;

json_ptr route_to_json(const route &from);

/// Nothing, with a sentence in `reason`, where a member is missing, mistyped or over its bound (limits.hpp).
std::optional<route> route_from_json(const json_t *from, std::string &reason);

} // namespace rollout
