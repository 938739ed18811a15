#include "ctl/commands/completion.hpp"

#include <completion_scripts.hpp>

namespace rollout::ctl {

std::string_view completion_script(std::string_view shell) noexcept
{
    return shell == "bash" ? bash_script : shell == "zsh" ? zsh_script : shell == "fish" ? fish_script : "";
}

} // namespace rollout::ctl
