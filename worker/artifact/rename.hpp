// Files and folders get their names: every rename that rolloutd does.
#pragma once

#include <filesystem>

namespace rollout {

/// Both give an error's number, or 0. `point` names the failpoint.
int rename_over(const std::filesystem::path &from, const std::filesystem::path &to, const char *point);

/// Never over something that came there a moment ago.
int rename_to_nothing(const std::filesystem::path &from, const std::filesystem::path &to, const char *point);

} // namespace rollout
