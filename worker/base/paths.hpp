// Paths as text: no look at the file system.
#pragma once

#include <string_view>

namespace rollout {

/// Is the one path the other, or under it? Whole components count: `/srv/models-old` is not under `/srv/models`.
bool is_same_or_under(std::string_view path, std::string_view folder) noexcept;

} // namespace rollout
