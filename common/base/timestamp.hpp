// Points in time as documents and the log write them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace rollout {

/// RFC 3339, UTC, with microseconds: 2026-11-24T16:09:21.000000Z.
std::string timestamp(std::int64_t since_1970_us);

/// Reads one back; 0 where the text is none, or before 1970.
std::int64_t timestamp_us(std::string_view text) noexcept;

} // namespace rollout
