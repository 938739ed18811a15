// Text from outside, made fit for a sentence, a log line or a document.
#pragma once

#include <charconv>
#include <cstddef>
#include <string>
#include <string_view>
#include <system_error>

namespace rollout {

/// Takes what is before the first separator off, and the separator with it; all of it where there is none.
std::string_view next_part(std::string_view &text, char separator) noexcept;

/// Compares ASCII letters of either case as the same, as names in HTTP are.
bool equal_ignoring_case(std::string_view one, std::string_view other) noexcept;

/// False, with `to` as it was, where the text is no number of that type from its begin to its end.
template <class Number>
bool read_number(std::string_view text, Number &to) noexcept
{
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), to);
    return error == std::errc() && end == text.data() + text.size();
}

/// One line of valid UTF-8: each run of white space, control characters and invisible ones that could forge a line or
/// turn its direction becomes one space, none at the ends; bytes that are not UTF-8 become U+FFFD. What is longer than
/// `max_characters` (code points) ends with an ellipsis within them.
std::string clean_text(std::string_view text, std::size_t max_characters);

/// The text with U+FFFD for each byte that is not UTF-8, otherwise as it is.
std::string valid_utf8(std::string_view text);

} // namespace rollout
