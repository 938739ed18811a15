// rolloutd's log: one JSON object per line on standard error. External text is written as JSON strings, so that it cannot
// forge a line.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

namespace rollout {

enum class log_level { debug, info, warning, error };

using log_fields = std::initializer_list<std::pair<std::string_view, std::string_view>>;

/// May be called from any thread, and never blocks: log_output.hpp. `fields` such as {{"task_id", id}, {"model_id",
/// model}} precede the message; empty ones are omitted.
void log(log_level level, std::string_view message, log_fields fields = {}) noexcept;

/// Returns the line that log() writes, including its line feed.
std::string line_of_log(log_level level, std::string_view message, log_fields fields = {});

/// While it exists, the lines that its thread logs are collected and written several at a time, for code that logs many
/// at once. Warnings and errors are not delayed. Must not be nested.
class log_batch {
  public:
    log_batch() noexcept;
    ~log_batch();
    log_batch(const log_batch &) = delete;
    log_batch &operator=(const log_batch &) = delete;
};

} // namespace rollout
