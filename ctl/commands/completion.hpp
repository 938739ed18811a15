// The shell completion scripts of ctl/completion.
#pragma once

#include <string_view>

namespace rollout::ctl {

/// Returns the script for `bash`, `zsh` or `fish`; empty for another shell.
std::string_view completion_script(std::string_view shell) noexcept;

} // namespace rollout::ctl
