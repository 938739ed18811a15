#include "ctl/terminal/screen.hpp"

#include <algorithm>
#include <utility>

namespace rollout::ctl {

namespace {

/// The cursor is below the picture, with room for a shell's prompt.
constexpr std::size_t rows_left_free = 1;


std::vector<styled_line> cut_at_bottom(const std::vector<styled_line> &lines, std::size_t rows)
{
    if (lines.size() <= rows) {
        return lines;
    }
    std::vector<styled_line> cut(lines.begin(), lines.begin() + static_cast<std::ptrdiff_t>(rows - 1));
    const std::size_t missing = lines.size() - cut.size();
    cut.emplace_back("… " + std::to_string(missing) + (missing == 1 ? " more line" : " more lines"), style::dim);
    return cut;
}

} // namespace


/// Terminals wrap lines again when they get narrower: a line of 80 columns takes two rows of 40.
std::size_t screen::rows_drawn(std::size_t columns) const noexcept
{
    std::size_t rows = 0;
    for (const auto width : widths_) {
        rows += std::max<std::size_t>((width + columns - 1) / columns, 1);
    }
    return rows;
}


std::string screen::draw(const std::vector<styled_line> &lines, const terminal_size &size)
{
    const std::size_t columns = std::max<std::size_t>(size.columns, 1);
    const std::size_t rows = std::max<std::size_t>(size.rows, 1 + rows_left_free) - rows_left_free;
    std::vector<std::string> next;
    std::vector<std::size_t> widths;
    for (const auto &line : cut_at_bottom(lines, rows)) {
        next.push_back(line.render(columns, colors_));
        widths.push_back(std::min(line.width(), columns));
    }
    if (next == drawn_ && size == size_) {
        return {};
    }
    std::string output;
    if (const std::size_t up = std::min(rows_drawn(columns), rows); up != 0) {
        output += "\x1b[" + std::to_string(up) + "A";
    }
    output += "\r";
    for (const auto &line : next) {
        output += "\x1b[2K" + line + "\n"; // erased first: after a full line the cursor is on its last character
    }
    output += "\x1b[J";
    drawn_ = std::move(next);
    widths_ = std::move(widths);
    size_ = size;
    return output;
}

} // namespace rollout::ctl
