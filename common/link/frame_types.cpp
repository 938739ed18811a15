#include "common/link/frame_types.hpp"

namespace rollout {

namespace {

/// `last` is the enumeration's last value.
template <class Type>
std::optional<Type> type_named(std::string_view name, Type last) noexcept
{
    for (std::uint8_t i = 0; i <= static_cast<std::uint8_t>(last); ++i) {
        if (frame_name(static_cast<Type>(i)) == name) {
            return static_cast<Type>(i);
        }
    }
    return std::nullopt;
}

} // namespace


std::string_view frame_name(gateway_frame type) noexcept
{
    switch (type) {
    case gateway_frame::hello:
        return "hello";
    case gateway_frame::submit:
        return "submit";
    case gateway_frame::lookup:
        return "lookup";
    case gateway_frame::forget:
        return "forget";
    case gateway_frame::steer:
        return "steer";
    case gateway_frame::list:
        return "list";
    case gateway_frame::models:
        return "models";
    case gateway_frame::metrics:
        return "metrics";
    case gateway_frame::series:
        return "series";
    case gateway_frame::applied:
        return "applied";
    case gateway_frame::counters:
        return "counters";
    case gateway_frame::measured:
        return "measured";
    case gateway_frame::suspect:
        return "suspect";
    case gateway_frame::bye:
        return "bye";
    case gateway_frame::pong:
        return "pong";
    }
    return "";
}


std::string_view frame_name(rolloutd_frame type) noexcept
{
    switch (type) {
    case rolloutd_frame::welcome:
        return "welcome";
    case rolloutd_frame::stream:
        return "stream";
    case rolloutd_frame::accepted:
        return "accepted";
    case rolloutd_frame::rejected:
        return "rejected";
    case rolloutd_frame::found:
        return "found";
    case rolloutd_frame::listed:
        return "listed";
    case rolloutd_frame::listed_models:
        return "listed_models";
    case rolloutd_frame::metered:
        return "metered";
    case rolloutd_frame::series_found:
        return "series_found";
    case rolloutd_frame::update:
        return "update";
    case rolloutd_frame::shared:
        return "shared";
    case rolloutd_frame::routes:
        return "routes";
    case rolloutd_frame::sample:
        return "sample";
    case rolloutd_frame::measure:
        return "measure";
    case rolloutd_frame::ping:
        return "ping";
    case rolloutd_frame::refuse:
        return "refuse";
    }
    return "";
}


std::optional<gateway_frame> gateway_frame_from(std::string_view name) noexcept
{
    return type_named(name, gateway_frame::pong);
}


std::optional<rolloutd_frame> rolloutd_frame_from(std::string_view name) noexcept
{
    return type_named(name, rolloutd_frame::refuse);
}

} // namespace rollout
