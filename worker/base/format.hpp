// Formatting for people: makes text from files, servers and the system fit for a sentence, a log line or a document.
#pragma once

#include "common/base/text.hpp"

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace rollout {

/// Formats a path for a message.
std::string shown(const std::filesystem::path &path);

/// Formats a size: `4 bytes`, `2.2 MiB`.
std::string format_size(std::uint64_t bytes);

/// Formats a duration: `250 ms`, `30 s`, `1.5 s`.
std::string format_duration(std::chrono::milliseconds time);

/// Formats a count with its noun: `4 files`, `1 file`.
std::string format_count(std::uint64_t count, std::string_view one, std::string_view many);

/// Formats a number as people write it, to four digits, or as a whole number from 1,000 on: `0.3158`, `12`, `30000`,
/// `0.00001`.
std::string format_number(double value);

/// Formats a fraction from 0 to 1: `2.1 %`.
std::string format_percent(double share);

/// Returns the system's text for an `errno`.
std::string format_errno(int error);

} // namespace rollout
