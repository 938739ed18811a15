// Reads and replaces a configuration file: bounded, no links followed, whole or not at all.
#pragma once

#include "worker/async/outcome.hpp"

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>

namespace rollout {

inline constexpr std::size_t largest_small_file = 1024 * 1024;

/// Permanent where it is no regular file or larger than the bound.
outcome read_small_file(const std::filesystem::path &path, std::string &into);

/// Writes beside and renames, so that a crash leaves the old file or the new one.
outcome replace_small_file(const std::filesystem::path &path, std::string_view text);

} // namespace rollout
