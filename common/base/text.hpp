// Makes text from outside fit for a sentence, a log line or a document.
#pragma once

#include <charconv>
#include <cstddef>
#include <string>
#include <string_view>
#include <system_error>

namespace rollout {

/// Removes the text before the first separator, and the separator, and returns that text; all of it if there is no
/// separator.
std::string_view next_part(std::string_view &text, char separator) noexcept;

/// Compares without the case of ASCII letters, as names in HTTP are compared.
bool equal_ignoring_case(std::string_view one, std::string_view other) noexcept;

/// Parses the whole text as a number of that type. Returns false, and leaves `to` unchanged, if it is not one.
template <class Number>
bool read_number(std::string_view text, Number &to) noexcept
{
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), to);
    return error == std::errc() && end == text.data() + text.size();
}

/// Returns one line of valid UTF-8. Each run of white space, control characters and invisible characters that could
/// forge a line or change its direction becomes one space, and there is none at the ends; bytes that are not UTF-8
/// become U+FFFD. A text longer than `max_characters` (code points) is cut to that length, including an ellipsis.
std::string clean_text(std::string_view text, std::size_t max_characters);

/// Returns the text with U+FFFD for each byte that is not UTF-8.
std::string valid_utf8(std::string_view text);

} // namespace rollout
