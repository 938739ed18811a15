// Writes the log's lines: to standard error directly, or from a thread of its own once the reader falls behind, so that
// logging never blocks.
#pragma once

#include <cstddef>
#include <string_view>

namespace rollout {

/// May be called from any thread. Takes whole lines, each with its line feed. While the reader is behind, up to
/// `waiting_bytes` of lines are queued; further ones are dropped, and their number is logged once it reads again. Errors
/// have the same amount of room in addition.
void put_out(std::string_view lines, bool is_error) noexcept;

/// Returns how much should be put out at once, so that other writers to the same pipe do not interleave with it, and
/// that a file is written to in few calls.
std::size_t burst_bytes() noexcept;

inline constexpr std::size_t waiting_bytes = std::size_t{1} << 20;

/// Waits up to two seconds until all lines have been written; called before the process ends.
void flush_log() noexcept;

} // namespace rollout
