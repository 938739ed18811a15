// A picture of some lines that is redrawn in place, below what the terminal showed before.
#pragma once

#include "ctl/terminal/styled_line.hpp"
#include "ctl/terminal/terminal.hpp"

#include <string>
#include <vector>

namespace rollout::ctl {

class screen {
  public:
    explicit screen(bool colors) : colors_(colors) {}

    /// What to write to the terminal so that it shows these lines in place of those drawn before. Lines are cut at the right, and the
    /// picture at the bottom, with a last line that says how much is missing: nothing ever scrolls. Empty if nothing has changed.
    std::string draw(const std::vector<styled_line> &lines, const terminal_size &size);

  private:
    std::size_t rows_drawn(std::size_t columns) const noexcept;

    bool colors_;
    std::vector<std::string> drawn_;
    std::vector<std::size_t> widths_; ///< of what was drawn
    terminal_size size_;
};

} // namespace rollout::ctl
