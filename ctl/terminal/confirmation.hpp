// Asks a person for confirmation of a destructive action.
#pragma once

#include <string>

namespace rollout::ctl {

/// Asks on the terminal, and returns whether the answer is yes. Anything but `y` or `yes`, and end of file, means no.
bool confirm(const std::string &question);

/// Returns whether a line means yes.
bool says_yes(const std::string &line) noexcept;

} // namespace rollout::ctl
