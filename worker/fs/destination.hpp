// The destination folder of a fetch, which becomes a model's: preparing it, and checking the free space.
#pragma once

#include "common/base/unique_fd.hpp"
#include "worker/async/outcome.hpp"

#include <cstdint>
#include <filesystem>

namespace rollout {

/// Removes whatever exists under that name, and creates the parent folders.
outcome clear_destination(const std::filesystem::path &destination);

/// Checks that the folder's file system has room for that many more bytes. Permanent, with the figures, if it has not.
/// The folder must exist.
outcome check_space(const std::filesystem::path &folder, std::uint64_t needed_bytes);

/// Returns in `free_bytes` how many bytes rolloutd may still write there.
outcome find_space(const std::filesystem::path &folder, std::uint64_t &free_bytes);

/// Creates a folder that everybody can read, and opens it in `into`.
outcome make_folder(const std::filesystem::path &path, unique_fd &into);

} // namespace rollout
