// The versions of the frames that are spoken, and which of them two ends take. Each end names the oldest and the newest that it
// speaks, nginx's in its `hello`; rolloutd takes the newest that both do and says so in its `welcome`. So a module and a rolloutd of
// neighbouring releases work together, whichever of them is upgraded first.
//
// A version is raised with a frame, or a meaning, that an end which does not know it cannot do without: it is sent to nobody who
// speaks the one before. What can be done without is a new member of a known frame: who does not know it passes over it.
#pragma once

#include "common/base/json.hpp"

#include <optional>
#include <string>

namespace rollout {

struct protocol_range {
    json_int_t oldest;
    json_int_t newest;
};

/// What is spoken here.
inline constexpr protocol_range spoken_protocols{3, 3};

/// What a `hello` says: `protocol` is its newest version, `protocol_oldest` its oldest, the same where it is not given.
protocol_range protocols_of(const json_t *hello) noexcept;

/// Puts them there.
void put_protocols(json_t *hello, const protocol_range &spoken);

/// The newest version that both speak.
std::optional<json_int_t> common_protocol(const protocol_range &here, const protocol_range &there) noexcept;

/// `version 2`, `versions 2 to 3`.
std::string format_versions(const protocol_range &spoken);

} // namespace rollout
