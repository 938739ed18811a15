// Rows of cells under titles; each column is as wide as its widest cell.
#pragma once

#include "ctl/terminal/styled_line.hpp"

#include <initializer_list>
#include <string>
#include <vector>

namespace rollout::ctl {

class table {
  public:
    explicit table(std::initializer_list<std::string> titles);

    /// Adds a row, with as many cells as there are titles.
    void add(std::vector<styled_line> cells);

    /// Returns the titles and the rows. Columns without any text are omitted.
    std::vector<styled_line> lines() const;

  private:
    std::vector<std::vector<styled_line>> rows_; ///< the titles come first
};

} // namespace rollout::ctl
