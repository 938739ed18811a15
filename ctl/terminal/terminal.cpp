#include "ctl/terminal/terminal.hpp"

#include <csignal>
#include <cstdlib>
#include <string_view>

#include <sys/ioctl.h>
#include <unistd.h>

namespace rollout::ctl {

namespace {

std::string_view environment(const char *name) noexcept
{
    const char *value = std::getenv(name);
    return value != nullptr ? value : "";
}


void on_resize(int)
{
    // Empty: the signal only interrupts the wait.
}

} // namespace


bool can_redraw() noexcept
{
    return ::isatty(STDOUT_FILENO) == 1 && environment("TERM") != "dumb";
}


bool can_ask() noexcept
{
    return ::isatty(STDIN_FILENO) == 1 && ::isatty(STDERR_FILENO) == 1;
}


bool wants_colors() noexcept
{
    return can_redraw() && environment("NO_COLOR").empty();
}


terminal_size size_of_terminal() noexcept
{
    winsize size = {};
    if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0 || size.ws_row == 0) {
        return {};
    }
    return {size.ws_col, size.ws_row};
}


void notice_resizes() noexcept
{
    struct sigaction action = {};
    action.sa_handler = on_resize; // without SA_RESTART
    ::sigaction(SIGWINCH, &action, nullptr);
}

} // namespace rollout::ctl
