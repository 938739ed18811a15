// A line of text with colours, whose width on the screen is known.
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

    /// How many columns it takes.
    std::size_t width() const noexcept { return width_; }

    /// The text, cut at `columns` with an ellipsis; with escape sequences if `colors`.
    std::string render(std::size_t columns, bool colors) const;

  private:
    std::vector<styled_text> parts_;
    std::size_t width_ = 0;
};

/// How many columns a UTF-8 text takes on a terminal.
std::size_t width_of(std::string_view text) noexcept;

/// Puts items behind each other, with two blanks between them, into as many lines of `columns` as they take.
std::vector<styled_line> flow(const std::vector<styled_line> &items, std::size_t columns);

/// Breaks a text at blanks into at most `most` lines of `columns`; what is left over is cut with an ellipsis.
std::vector<styled_line> wrap(std::string_view text, std::size_t columns, std::size_t most,
                              style look = style::plain);

} // namespace rollout::ctl
