// Words for people: what comes from files, servers and the system, made fit for a sentence, a log line or a document.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace rollout {

/// One line of valid UTF-8: each run of white space, control characters and invisible ones that could forge a line or
/// turn its direction becomes one space, none at the ends; bytes that are not UTF-8 become U+FFFD. What is longer than
/// `max_characters` (code points) ends with an ellipsis within them.
std::string clean_text(std::string_view text, std::size_t max_characters);

/// The text with U+FFFD for each byte that is not UTF-8, otherwise as it is.
std::string valid_utf8(std::string_view text);

/// A path for a sentence.
std::string shown(const std::filesystem::path &path);

/// `4 bytes`, `2.2 MiB`.
std::string size_words(std::uint64_t bytes);

/// `250 ms`, `30 s`, `1.5 s`.
std::string duration_words(std::chrono::milliseconds time);

/// `4 files`, `1 file`.
std::string count_words(std::uint64_t count, std::string_view one, std::string_view many);

/// The system's words for an `errno`.
std::string errno_words(int error);

} // namespace rollout
