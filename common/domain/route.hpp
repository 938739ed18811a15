// A route: where a model's requests go. rolloutd decides it, the gateway follows it.
//
// In a `routes` frame: {"model_id": "123", "part": "", "blue": TARGET, "green": TARGET, "weight": 0..100, "watched":
// true}. A TARGET is {"revision": 7, "upstream": "inference", "model": "123__r7", "peers": ["10.0.0.1:8000"]}.
// `peers` are the servers of the upstream block that have the revision loaded; if omitted, all have it. `green` is
// omitted if there is none; with "removed": true instead of `blue`, the model has no route any more. `watched` is set
// if blue's requests are to be counted although there is no green: after a promotion that can still be rolled back.
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
    std::string model;    ///< the name on the inference server
    std::optional<std::vector<std::string>> peers =
        std::nullopt; ///< the servers that have it; nothing: all of the upstream's

    bool operator==(const route_target &) const = default;
};

struct route {
    std::string model_id;
    std::string part; ///< empty if the model has one part
    std::optional<route_target> blue;
    std::optional<route_target> green;
    unsigned weight = 0;  ///< green's share of the requests, in percent
    bool watched = false; ///< the requests' results are counted, as they are while there is a green

    bool operator==(const route &) const = default;

    /// A route without a target tells the gateway to remove the model.
    bool removed() const noexcept { return !blue && !green; }
};

/// Return whether the text is valid as a target's upstream or model: no byte that could end a header, a host or a
/// path component.
bool is_upstream(std::string_view text) noexcept;
bool is_backend_model(std::string_view text) noexcept;

json_ptr route_to_json(const route &from);

/// Returns nothing, and a sentence in `reason`, if a member is missing, has a wrong type, or is over its bound
/// (limits.hpp).
std::optional<route> route_from_json(const json_t *from, std::string &reason);

} // namespace rollout
