// Rows of cells under titles, each column as wide as its widest cell.
#pragma once

#include "ctl/terminal/styled_line.hpp"

#include <initializer_list>
#include <string>
#include <vector>

namespace rollout::ctl {

class table {
  public:
    explicit table(std::initializer_list<std::string> titles);

    /// As many cells as there are titles.
    void add(std::vector<styled_line> cells);

    /// The titles and the rows. A column without any text is left out.
    std::vector<styled_line> lines() const;

  private:
    std::vector<std::vector<styled_line>> rows_; ///< the titles first
};

} // namespace rollout::ctl
