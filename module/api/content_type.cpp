#include "module/api/content_type.hpp"

#include "common/base/text.hpp"

#include <algorithm>
#include <array>

namespace rollout {

namespace {

std::string_view trimmed(std::string_view text) noexcept
{
    const auto first = text.find_first_not_of(" \t");
    return first == std::string_view::npos ? std::string_view()
                                           : text.substr(first, text.find_last_not_of(" \t") - first + 1);
}


/// Accepts a type with one token on each side of the slash.
bool is_json(std::string_view type) noexcept
{
    constexpr std::string_view before = "application/";
    if (type.size() <= before.size() || !equal_ignoring_case(type.substr(0, before.size()), before)) {
        return false;
    }
    const auto name = type.substr(before.size());
    if (name.find_first_of(" \t,/\"") != std::string_view::npos) {
        return false;
    }
    constexpr std::string_view ending = "+json";
    return equal_ignoring_case(name, "json") ||
           (name.size() > ending.size() && equal_ignoring_case(name.substr(name.size() - ending.size()), ending));
}


/// Accepts the names of UTF-8, and of ASCII, which is a subset of it.
bool is_utf8(std::string_view charset) noexcept
{
    if (charset.size() >= 2 && charset.front() == '"' && charset.back() == '"') {
        charset = charset.substr(1, charset.size() - 2);
    }
    constexpr std::array<std::string_view, 4> names = {"utf-8", "utf8", "us-ascii", "ascii"};
    return std::ranges::any_of(names,
                               [charset](std::string_view name) { return equal_ignoring_case(charset, name); });
}

} // namespace


body_kind body_kind_of(std::string_view content_type) noexcept
{
    if (!is_json(trimmed(next_part(content_type, ';')))) {
        return body_kind::other;
    }
    while (!content_type.empty()) {
        auto value = next_part(content_type, ';');
        const auto name = trimmed(next_part(value, '='));
        if (equal_ignoring_case(name, "charset") && !is_utf8(trimmed(value))) {
            return body_kind::json_of_another_charset;
        }
    }
    return body_kind::json;
}

} // namespace rollout
