// rolloutctl: controls a gateway's deployments from the command line, through its HTTP API.
#include "ctl/command_line.hpp"

#include <clocale>
#include <csignal>

int main(int argc, char **argv)
{
    // Character widths are those of Unicode, in any language.
    std::setlocale(LC_CTYPE, "C.UTF-8");
    std::signal(SIGPIPE, SIG_IGN);
    return rollout::ctl::run(argc, argv);
}
