// The folder that a fetch makes a model's of: prepared, with room on its file system.
#pragma once

#include "common/base/unique_fd.hpp"
#include "worker/async/outcome.hpp"

#include <cstdint>
#include <filesystem>

namespace rollout {

/// Removes what stands under that name, and makes the folders above it.
outcome clear_destination(const std::filesystem::path &destination);

/// Is there room for so many bytes more on the folder's file system? Permanent where there is not, with the figures. The
/// folder must exist.
outcome check_space(const std::filesystem::path &folder, std::uint64_t needed_bytes);

/// How many bytes rolloutd may still write there.
outcome find_space(const std::filesystem::path &folder, std::uint64_t &free_bytes);

/// A new folder, for everybody to read, open in `into`.
outcome make_folder(const std::filesystem::path &path, unique_fd &into);

} // namespace rollout
