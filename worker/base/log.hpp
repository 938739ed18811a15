// rolloutd's log: one JSON object a line on standard error. Texts from outside are written as JSON strings, so that
// nobody forges a line.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

namespace rollout {

enum class log_level { debug, info, warning, error };

using log_fields = std::initializer_list<std::pair<std::string_view, std::string_view>>;

/// Any thread, and it waits for nobody: log_output.hpp. `fields` such as {{"task_id", id}, {"model_id", model}} come before the message; empty ones are left out.
void log(log_level level, std::string_view message, log_fields fields = {}) noexcept;

/// The line that log() writes, with its end.
std::string line_of_log(log_level level, std::string_view message, log_fields fields = {});

/// While it lives, what its thread logs gathers and goes out several lines a write: for where many are logged at once. Warnings
/// and errors do not wait. None inside another.
class log_batch {
  public:
    log_batch() noexcept;
    ~log_batch();
    log_batch(const log_batch &) = delete;
    log_batch &operator=(const log_batch &) = delete;
};

} // namespace rollout
