// Numbers formatted for people.
#pragma once

#include <cstdint>
#include <string>

namespace rollout::ctl {

/// Formats a count: `12,431`.
std::string format_count(std::uint64_t count);

/// Formats a number to three digits, without trailing zeros: `0.02`, `8`, `1250`.
std::string format_number(double value);

/// Formats a fraction from 0 to 1: `0.02 %`.
std::string format_percent(double share);

} // namespace rollout::ctl
