// Where the lines of the log go out: to standard error at once, and from a thread of their own once its reader is behind, so that
// nobody who logs waits for that.
#pragma once

#include <cstddef>
#include <string_view>

namespace rollout {

/// Any thread. Whole lines, each with its end. While the reader is behind up to `waiting_bytes` of lines wait for it; what is
/// more is dropped, and counted in a line that follows when it reads again. Errors have as much room again for themselves.
void put_out(std::string_view lines, bool is_error) noexcept;

inline constexpr std::size_t waiting_bytes = std::size_t{1} << 20;

/// Waits until what was put out has been written, for two seconds at most: before the process ends.
void flush_log() noexcept;

} // namespace rollout
