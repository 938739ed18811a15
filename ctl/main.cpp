// rolloutctl: steers a gateway's deployments from the command line, over its HTTP API.
#include "ctl/command_line.hpp"

#include <clocale>
#include <csignal>

int main(int argc, char **argv)
{
    // Widths of characters are those of Unicode, whatever the language.
    std::setlocale(LC_CTYPE, "C.UTF-8");
    std::signal(SIGPIPE, SIG_IGN);
    return rollout::ctl::run(argc, argv);
}
