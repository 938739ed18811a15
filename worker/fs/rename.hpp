// All renames of files and folders by rolloutd.
#pragma once

#include <filesystem>

namespace rollout {

/// All return an errno, or 0. `point` names the failpoint.
int rename_over(const std::filesystem::path &from, const std::filesystem::path &to, const char *point);

/// Renames a test file, only to see whether that works. It has no failpoint, since nothing depends on it.
int rename_probe(const std::filesystem::path &from, const std::filesystem::path &to);

/// Never replaces an existing target, even one that was just created.
int rename_to_nothing(const std::filesystem::path &from, const std::filesystem::path &to, const char *point);

} // namespace rollout
