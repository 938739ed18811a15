#include "common/base/text.hpp"

#include <algorithm>
#include <utility>

namespace rollout {
namespace {

constexpr std::string_view replacement = "\xEF\xBF\xBD";

struct character {
    char32_t code = 0xFFFD;
    std::size_t bytes = 1; ///< 1 for a byte that belongs to no character
    bool valid = false;
};

bool is_continuation(char byte) noexcept
{
    return (static_cast<unsigned char>(byte) & 0xC0U) == 0x80U;
}

character first_character(std::string_view text) noexcept
{
    const auto lead = static_cast<unsigned char>(text.front());
    if (lead < 0x80) {
        return {lead, 1, true};
    }
    std::size_t bytes = 0;
    char32_t code = 0;
    char32_t least = 0; // smaller values have a shorter form
    if (lead >= 0xC2 && lead <= 0xDF) {
        bytes = 2, code = lead & 0x1FU, least = 0x80;
    } else if (lead >= 0xE0 && lead <= 0xEF) {
        bytes = 3, code = lead & 0x0FU, least = 0x800;
    } else if (lead >= 0xF0 && lead <= 0xF4) {
        bytes = 4, code = lead & 0x07U, least = 0x10000;
    } else {
        return {};
    }
    if (text.size() < bytes) {
        return {};
    }
    for (std::size_t i = 1; i < bytes; ++i) {
        if (!is_continuation(text[i])) {
            return {};
        }
        code = code << 6U | (static_cast<unsigned char>(text[i]) & 0x3FU);
    }
    if (code < least || code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF)) {
        return {};
    }
    return {code, bytes, true};
}

/// Returns whether this is a control character, a space, or an invisible character that breaks lines or changes the
/// direction of the text.
bool is_blank(char32_t code) noexcept
{
    return code <= 0x20 || (code >= 0x7F && code <= 0xA0) || code == 0x061C || (code >= 0x2000 && code <= 0x200F) ||
           (code >= 0x2028 && code <= 0x202F) || (code >= 0x205F && code <= 0x206F) || code == 0x3000 ||
           code == 0xFEFF || (code >= 0xFFF9 && code <= 0xFFFB) || (code >= 0xE0000 && code <= 0xE007F);
}


/// Returns whether the text is ASCII, as most texts are: visible characters with single spaces between them.
bool is_plain(std::string_view text) noexcept
{
    bool after_space = true;
    for (const char c : text) {
        if (c < 0x20 || c > 0x7E || (c == ' ' && after_space)) {
            return false;
        }
        after_space = c == ' ';
    }
    return text.empty() || !after_space;
}

constexpr char lower_case(char c) noexcept
{
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

} // namespace


bool equal_ignoring_case(std::string_view one, std::string_view other) noexcept
{
    return std::ranges::equal(one, other, {}, lower_case, lower_case);
}


std::string_view next_part(std::string_view &text, char separator) noexcept
{
    const auto end = text.find(separator);
    const auto part = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    return part;
}


std::string clean_text(std::string_view text, std::size_t max_characters)
{
    if (text.size() <= max_characters && is_plain(text)) {
        return std::string(text);
    }
    std::string clean;
    std::size_t characters = 0;
    std::size_t cut = 0; // where the ellipsis goes if the text is too long
    bool gap = false;

    const auto add = [&](std::string_view bytes) {
        if (characters + 1 == max_characters) {
            cut = clean.size();
        }
        clean += bytes;
        ++characters;
    };

    while (!text.empty() && characters <= max_characters) {
        const character next = first_character(text);
        if (next.valid && is_blank(next.code)) {
            gap = !clean.empty();
        } else {
            if (std::exchange(gap, false)) {
                add(" ");
            }
            add(next.valid ? text.substr(0, next.bytes) : replacement);
        }
        text.remove_prefix(next.bytes);
    }
    if (characters > max_characters) {
        clean.resize(cut);
        clean += "…";
    }
    return clean;
}


std::string valid_utf8(std::string_view text)
{
    std::string valid;
    valid.reserve(text.size());
    while (!text.empty()) {
        const character next = first_character(text);
        valid += next.valid ? text.substr(0, next.bytes) : replacement;
        text.remove_prefix(next.bytes);
    }
    return valid;
}

} // namespace rollout
