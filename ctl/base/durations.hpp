// Durations in the notation of people.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace rollout::ctl {

/// Reads `90`, `90s`, `10m`, `2h`, `500ms`, up to a year. Returns nothing for other texts.
std::optional<std::chrono::milliseconds> read_duration(std::string_view text) noexcept;

/// Returns `0.4 s`, `41 s`, `1 min 19 s`, `2 h 5 min`, `3 d 4 h`: two units at most. Negative durations give `0 s`.
std::string format_duration(std::chrono::milliseconds time);

} // namespace rollout::ctl
