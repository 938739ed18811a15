// Words for people: what comes from files, servers and the system, made fit for a sentence, a log line or a document.
#pragma once

#include "common/base/text.hpp"

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace rollout {

/// A path for a sentence.
std::string shown(const std::filesystem::path &path);

/// `4 bytes`, `2.2 MiB`.
std::string format_size(std::uint64_t bytes);

/// `250 ms`, `30 s`, `1.5 s`.
std::string format_duration(std::chrono::milliseconds time);

/// `4 files`, `1 file`.
std::string format_count(std::uint64_t count, std::string_view one, std::string_view many);

/// A number as people write it, to four digits, or to the whole number from 1,000 on: `0.3158`, `12`, `30000`, `0.00001`.
std::string format_number(double value);

/// A share of 0 to 1: `2.1 %`.
std::string format_percent(double share);

/// The system's words for an `errno`.
std::string format_errno(int error);

} // namespace rollout
