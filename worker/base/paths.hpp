// Paths as text, without access to the file system.
#pragma once

#include <string_view>

namespace rollout {

/// Returns whether `path` is `folder` or under it, by whole components: `/srv/models-old` is not under `/srv/models`.
bool is_same_or_under(std::string_view path, std::string_view folder) noexcept;

} // namespace rollout
