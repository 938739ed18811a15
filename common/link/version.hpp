// The versions of the frames, and which of them two ends use. Each end announces the oldest and the newest that it
// speaks, nginx in its `hello`; rolloutd chooses the newest that both speak and announces it in its `welcome`. Thus a
// module and a rolloutd of neighbouring releases work together, whichever of them is upgraded first.
//
// The version is raised for a frame, or a meaning, that is essential to an end: it must not be sent to an end that
// speaks only the version before. Anything else is a new member of a known frame, which an end that does not know it
// ignores.
//
// Version 4: nginx follows `routes_until`; rolloutd may count on it.
#pragma once

#include "common/base/json.hpp"

#include <optional>
#include <string>

namespace rollout {

struct protocol_range {
    json_int_t oldest;
    json_int_t newest;
};

/// The versions spoken here.
inline constexpr protocol_range spoken_protocols{3, 4};

/// Returns the versions in a `hello`: `protocol` is its newest version, `protocol_oldest` its oldest, or the same if
/// omitted.
protocol_range protocols_of(const json_t *hello) noexcept;

/// Adds them to the `hello`.
void put_protocols(json_t *hello, const protocol_range &spoken);

/// Returns the newest version that both speak.
std::optional<json_int_t> common_protocol(const protocol_range &here, const protocol_range &there) noexcept;

/// Returns `version 2`, or `versions 2 to 3`.
std::string format_versions(const protocol_range &spoken);

} // namespace rollout
