// Reads and replaces a configuration file: bounded, without following links, and atomically.
#pragma once

#include "worker/async/outcome.hpp"

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>

namespace rollout {

inline constexpr std::size_t largest_small_file = 1024 * 1024;

/// Fails permanently if it is not a regular file or is larger than the bound.
outcome read_small_file(const std::filesystem::path &path, std::string &into);

/// Writes a new file next to it and renames that, so that a crash leaves either the old or the new file.
outcome replace_small_file(const std::filesystem::path &path, std::string_view text);

} // namespace rollout
