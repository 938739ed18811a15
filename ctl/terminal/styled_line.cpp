#include "ctl/terminal/styled_line.hpp"

#include <algorithm>
#include <cwchar>
#include <utility>

namespace rollout::ctl {

namespace {

constexpr std::string_view ellipsis = "…";
constexpr std::string_view gap = "  ";


std::string_view escape_of(style look) noexcept
{
    switch (look) {
    case style::plain:
        return "";
    case style::bold:
        return "\x1b[1m";
    case style::dim:
        return "\x1b[2m";
    case style::good:
        return "\x1b[32m";
    case style::bad:
        return "\x1b[1;31m";
    case style::warning:
        return "\x1b[33m";
    case style::blue:
        return "\x1b[34m";
    case style::green:
        return "\x1b[32m";
    }
    return "";
}


struct glyph {
    std::string_view bytes;
    std::size_t width;
};


/// Returns the first character of a non-empty text. Bytes that are not UTF-8 count as one column each.
glyph first_glyph(std::string_view text) noexcept
{
    const auto lead = static_cast<unsigned char>(text.front());
    const std::size_t bytes = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    if (bytes > text.size() || (lead >= 0x80 && lead < 0xC0)) {
        return {text.substr(0, 1), 1};
    }
    char32_t code = bytes == 1 ? lead : lead & (0x7FU >> bytes);
    for (std::size_t i = 1; i < bytes; ++i) {
        code = code << 6 | (static_cast<unsigned char>(text[i]) & 0x3FU);
    }
    const int width = lead < 0x80 ? 1 : ::wcwidth(static_cast<wchar_t>(code));
    return {text.substr(0, bytes), width < 0 ? 1 : static_cast<std::size_t>(width)};
}


/// Returns the longest beginning of the text that fits into that many columns.
std::string_view cut(std::string_view text, std::size_t columns) noexcept
{
    std::size_t bytes = 0;
    for (std::size_t used = 0; bytes < text.size();) {
        const glyph next = first_glyph(text.substr(bytes));
        if (used + next.width > columns) {
            break;
        }
        used += next.width;
        bytes += next.bytes.size();
    }
    return text.substr(0, bytes);
}

} // namespace


std::size_t width_of(std::string_view text) noexcept
{
    std::size_t width = 0;
    while (!text.empty()) {
        const glyph next = first_glyph(text);
        width += next.width;
        text.remove_prefix(next.bytes.size());
    }
    return width;
}


styled_line &styled_line::add(std::string text, style look)
{
    width_ += width_of(text);
    parts_.push_back({std::move(text), look});
    return *this;
}


styled_line &styled_line::add(const styled_line &other)
{
    width_ += other.width_;
    parts_.insert(parts_.end(), other.parts_.begin(), other.parts_.end());
    return *this;
}


styled_line &styled_line::pad_to(std::size_t column)
{
    return width_ < column ? add(std::string(column - width_, ' ')) : *this;
}


std::string styled_line::render(std::size_t columns, bool colors) const
{
    const bool fits = width_ <= columns;
    std::size_t left = fits ? width_ : columns - std::min<std::size_t>(columns, 1);
    std::string line;
    for (const auto &[text, look] : parts_) {
        const auto shown = cut(text, left);
        if (shown.empty()) {
            continue;
        }
        const bool is_styled = colors && look != style::plain;
        line.append(is_styled ? escape_of(look) : "").append(shown).append(is_styled ? "\x1b[0m" : "");
        left -= width_of(shown);
        if (shown.size() < text.size()) {
            break;
        }
    }
    if (!fits && columns != 0) {
        line += ellipsis;
    }
    return line;
}


std::vector<styled_line> flow(const std::vector<styled_line> &items, std::size_t columns)
{
    std::vector<styled_line> lines;
    for (const auto &item : items) {
        if (lines.empty() || lines.back().width() + gap.size() + item.width() > columns) {
            lines.push_back(item);
        } else {
            lines.back().add(std::string(gap)).add(item);
        }
    }
    return lines;
}


std::vector<styled_line> wrap(std::string_view text, std::size_t columns, std::size_t most, style look)
{
    std::vector<styled_line> lines;
    while (!text.empty() && lines.size() < most) {
        std::string_view part = lines.size() + 1 == most ? text : cut(text, columns);
        if (part.size() < text.size() && text[part.size()] != ' ') {
            const auto blank = part.rfind(' ');
            part = blank != std::string_view::npos && blank != 0 ? part.substr(0, blank) : part;
        }
        if (part.empty()) { // a single character is wider than the line
            break;
        }
        lines.emplace_back(std::string(part), look);
        text.remove_prefix(part.size());
        text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
    }
    return lines;
}

} // namespace rollout::ctl
