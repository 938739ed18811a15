// The API's own description, OpenAPI 3.1: module/openapi.json with what differs from one location to another.
#pragma once

#include "common/domain/task_status.hpp"

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace rollout {

/// The description as the location with this `base` serves it, in pieces; the first and the last are constants.
struct api_description {
    std::array<std::string_view, 2> before; ///< up to the server's URL; between that and the words for a status
    std::string_view after;
    std::string server; ///< the URL of the API, relative to that of the gateway
    std::string words;  ///< the members of Status, as JSON without its brackets

    std::uint64_t hash = 0; ///< of the whole

    std::array<std::string_view, 5> pieces() const noexcept { return {before[0], server, before[1], words, after}; }
};

/// `base`: the part of the URI before the route, decoded; empty, or begins with a slash and does not end with one.
api_description describe_api(std::string_view base, dialect words);

} // namespace rollout
