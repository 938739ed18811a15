// The types of the frames (frame.hpp describes each), so that both ends use a switch that the compiler checks.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace rollout {

/// The frames that an nginx worker process sends.
enum class gateway_frame : std::uint8_t {
    hello,
    submit,
    lookup,
    forget,
    steer,
    list,
    models,
    metrics,
    series,
    applied,
    counters,
    measured,
    suspect,
    bye,
    pong,
};

/// The frames that rolloutd sends.
enum class rolloutd_frame : std::uint8_t {
    welcome,
    stream,
    accepted,
    rejected,
    found,
    listed,
    listed_models,
    metered,
    series_found,
    update,
    shared,
    routes,
    sample,
    measure,
    ping,
    refuse,
};

/// Returns the `type` of the frame's message.
std::string_view frame_name(gateway_frame type) noexcept;
std::string_view frame_name(rolloutd_frame type) noexcept;

/// Returns nothing if this release has no such frame.
std::optional<gateway_frame> gateway_frame_from(std::string_view name) noexcept;
std::optional<rolloutd_frame> rolloutd_frame_from(std::string_view name) noexcept;

} // namespace rollout
