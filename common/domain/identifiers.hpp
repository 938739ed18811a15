// Which names are valid: the only place that decides what a model, a task or a part may be called.
#pragma once

#include <string>
#include <string_view>

namespace rollout {

/// `[A-Za-z0-9][A-Za-z0-9._-]{0,127}` without `..`: safe as a path component, in a URL and in a log line.
bool is_model_id(std::string_view text) noexcept;

/// `[A-Za-z0-9_-]{1,64}`.
bool is_task_id(std::string_view text) noexcept;

/// Returns a new task's id: a UUID of version 7 (RFC 9562, section 5.7), whose order is the order of creation, to a
/// quarter of a microsecond, so that the journal's index grows at its end. Throws std::runtime_error if the system has no random bytes.
std::string new_task_id();

/// Returns 32 hexadecimal digits from the system's random source: the id of a journal or of a gateway's memory.
std::string new_instance_id();

} // namespace rollout
