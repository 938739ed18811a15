// Writes files and folders to the disk.
#pragma once

#include "worker/async/outcome.hpp"
#include "worker/async/thread_work.hpp"

#include <filesystem>

namespace rollout {

outcome sync_folder(const std::filesystem::path &path);

/// Syncs a folder and all that is in it; if that is many files, some at a time: most of the time is spent waiting for the
/// disk. Does not follow links. Checks `stop` once for each file.
outcome sync_tree(const std::filesystem::path &folder, const stop_flag &stop);

} // namespace rollout
