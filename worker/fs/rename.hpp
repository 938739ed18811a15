// Files and folders get their names: every rename that rolloutd does.
#pragma once

#include <filesystem>

namespace rollout {

/// All give an error's number, or 0. `point` names the failpoint.
int rename_over(const std::filesystem::path &from, const std::filesystem::path &to, const char *point);

/// Of a file that is there to see whether it can be done: nothing depends on it, and it has no failpoint.
int rename_probe(const std::filesystem::path &from, const std::filesystem::path &to);

/// Never over something that came there a moment ago.
int rename_to_nothing(const std::filesystem::path &from, const std::filesystem::path &to, const char *point);

} // namespace rollout
