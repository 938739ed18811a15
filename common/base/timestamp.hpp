// Points in time, as written in documents and the log.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace rollout {

/// Returns RFC 3339 in UTC with microseconds: 2026-11-24T16:09:21.000000Z.
std::string timestamp(std::int64_t since_1970_us);

/// Parses a timestamp; returns 0 if it is malformed, or before 1970.
std::int64_t timestamp_us(std::string_view text) noexcept;

} // namespace rollout
