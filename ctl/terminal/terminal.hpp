// The kind of output: a terminal with its size, with or without colors, or something else.
#pragma once

#include <cstddef>

namespace rollout::ctl {

struct terminal_size {
    std::size_t columns = 80;
    std::size_t rows = 24;

    friend bool operator==(const terminal_size &, const terminal_size &) = default;
};

/// Returns whether standard output is a terminal on which a picture can be redrawn (not TERM=dumb).
bool can_redraw() noexcept;

/// Returns whether a person can be asked: standard input and standard error are a terminal.
bool can_ask() noexcept;

/// Returns whether to use colors: not with NO_COLOR (https://no-color.org).
bool wants_colors() noexcept;

/// Returns the terminal's current size (TIOCGWINSZ), or 80 x 24 if it is unknown.
terminal_size size_of_terminal() noexcept;

/// Makes a change of the size (SIGWINCH) interrupt waits, so that the picture is redrawn at once.
void notice_resizes() noexcept;

} // namespace rollout::ctl
