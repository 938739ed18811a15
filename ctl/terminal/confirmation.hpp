// Asks a person before something is destroyed.
#pragma once

#include <string>

namespace rollout::ctl {

/// Asks on the terminal, and returns whether the answer is yes. What is not `y` or `yes`, and the end of the input, are a no.
bool confirm(const std::string &question);

/// Whether a line says yes.
bool says_yes(const std::string &line) noexcept;

} // namespace rollout::ctl
