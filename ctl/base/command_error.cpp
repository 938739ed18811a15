#include "ctl/base/command_error.hpp"

#include "common/base/text.hpp"

#include <cstddef>

namespace rollout::ctl {

namespace {

constexpr std::size_t most_characters = 4000;

} // namespace


command_error::command_error(exit_code code, const std::string &sentence)
    : std::runtime_error(clean_text(sentence, most_characters)), code_(code)
{
}

} // namespace rollout::ctl
