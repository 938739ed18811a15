// A picture of several lines, redrawn in place below the earlier contents of the terminal.
#pragma once

#include "ctl/terminal/styled_line.hpp"
#include "ctl/terminal/terminal.hpp"

#include <string>
#include <vector>

namespace rollout::ctl {

class screen {
  public:
    explicit screen(bool colors) : colors_(colors) {}

    /// Returns what to write to the terminal to replace the lines drawn before with these. Lines are cut at the right,
    /// and the picture at the bottom, with a last line that says how much is missing, so that nothing ever scrolls. Empty
    /// if nothing has changed.
    std::string draw(const std::vector<styled_line> &lines, const terminal_size &size);

  private:
    std::size_t rows_drawn(std::size_t columns) const noexcept;

    bool colors_;
    std::vector<std::string> drawn_;
    std::vector<std::size_t> widths_; ///< of the drawn lines
    terminal_size size_;
};

} // namespace rollout::ctl
