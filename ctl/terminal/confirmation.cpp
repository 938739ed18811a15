#include "ctl/terminal/confirmation.hpp"

#include <cstdio>
#include <iostream>

namespace rollout::ctl {

bool says_yes(const std::string &line) noexcept
{
    return line == "y" || line == "Y" || line == "yes" || line == "Yes" || line == "YES";
}


bool confirm(const std::string &question)
{
    std::fprintf(stderr, "%s [y/N] ", question.c_str());
    std::fflush(stderr);
    std::string line;
    return std::getline(std::cin, line) && says_yes(line);
}

} // namespace rollout::ctl
