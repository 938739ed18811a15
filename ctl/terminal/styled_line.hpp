// A line of colored text whose width on the screen is known.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace rollout::ctl {

enum class style { plain, bold, dim, good, bad, warning, blue, green };

struct styled_text {
    std::string text; ///< UTF-8, without control characters
    style look = style::plain;
};

class styled_line {
  public:
    styled_line() = default;
    explicit styled_line(std::string text, style look = style::plain) { add(std::move(text), look); }

    styled_line &add(std::string text, style look = style::plain);
    styled_line &add(const styled_line &other);

    /// Adds blanks up to that column.
    styled_line &pad_to(std::size_t column);

    /// Returns its width in columns.
    std::size_t width() const noexcept { return width_; }

    /// Returns the text, cut at `columns` with an ellipsis; with escape sequences if `colors`.
    std::string render(std::size_t columns, bool colors) const;

  private:
    std::vector<styled_text> parts_;
    std::size_t width_ = 0;
};

/// Returns how many columns a UTF-8 text takes on a terminal.
std::size_t width_of(std::string_view text) noexcept;

/// Arranges items one after another, separated by two blanks, in as many lines of `columns` as needed.
std::vector<styled_line> flow(const std::vector<styled_line> &items, std::size_t columns);

/// Wraps a text at blanks into at most `most` lines of `columns`; the rest is cut with an ellipsis.
std::vector<styled_line> wrap(std::string_view text, std::size_t columns, std::size_t most,
                              style look = style::plain);

} // namespace rollout::ctl
