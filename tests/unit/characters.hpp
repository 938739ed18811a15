// How long people find a text.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string_view>

/// Code points of a text in UTF-8.
inline std::size_t characters_of(std::string_view utf8)
{
    return static_cast<std::size_t>(std::count_if(
        utf8.begin(), utf8.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; }));
}
