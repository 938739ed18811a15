#include "ctl/view/table.hpp"

#include <algorithm>
#include <cstddef>
#include <utility>

namespace rollout::ctl {

namespace {

constexpr std::size_t gap_columns = 2;

} // namespace


table::table(std::initializer_list<std::string> titles)
{
    std::vector<styled_line> row;
    for (const auto &title : titles) {
        row.emplace_back(title, style::dim);
    }
    rows_.push_back(std::move(row));
}


void table::add(std::vector<styled_line> cells)
{
    cells.resize(rows_.front().size());
    rows_.push_back(std::move(cells));
}


std::vector<styled_line> table::lines() const
{
    std::vector<std::size_t> widths(rows_.front().size(), 0);
    std::vector<bool> is_used(widths.size(), false);
    for (const auto &row : rows_) {
        for (std::size_t i = 0; i < row.size(); ++i) {
            widths[i] = std::max(widths[i], row[i].width());
            is_used[i] = is_used[i] || (&row != &rows_.front() && row[i].width() != 0);
        }
    }
    std::vector<styled_line> lines;
    for (const auto &row : rows_) {
        styled_line line;
        std::size_t column = 0;
        for (std::size_t i = 0; i < row.size(); ++i) {
            if (is_used[i]) {
                line.pad_to(column).add(row[i]);
                column += widths[i] + gap_columns;
            }
        }
        lines.push_back(std::move(line));
    }
    return lines;
}

} // namespace rollout::ctl
