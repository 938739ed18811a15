// What the output is: a terminal of some size, with or without colours, or something else.
#pragma once

#include <cstddef>

namespace rollout::ctl {

struct terminal_size {
    std::size_t columns = 80;
    std::size_t rows = 24;

    friend bool operator==(const terminal_size &, const terminal_size &) = default;
};

/// Whether standard output is a terminal on which a picture can be redrawn (and not TERM=dumb).
bool can_redraw() noexcept;

/// Whether a person can be asked: standard input and standard error are a terminal.
bool can_ask() noexcept;

/// Whether colours are wanted there: not with NO_COLOR (https://no-color.org).
bool wants_colors() noexcept;

/// The terminal's size now (TIOCGWINSZ), or 80 x 24 if it does not say.
terminal_size size_of_terminal() noexcept;

/// Lets a change of the size (SIGWINCH) interrupt what waits, so that the picture is redrawn at once.
void notice_resizes() noexcept;

} // namespace rollout::ctl
