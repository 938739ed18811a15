// A task as a picture of several lines: the renderer of both `watch` and `status`.
#pragma once

#include "ctl/api/task_document.hpp"
#include "ctl/terminal/styled_line.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace rollout::ctl {

/// What is known in addition to the task's document.
struct picture_context {
    std::int64_t now_us = 0;         ///< by the gateway's clock
    std::uint64_t blue_revision = 0; ///< the one that serves next to it; 0: none, or unknown
    std::optional<bool> is_ready;    ///< whether rolloutd is linked; nothing: unknown
    std::string trouble;             ///< why the document may be outdated; empty: it is not
    std::chrono::milliseconds trouble_lasts{0};
};

/// The most important lines come first, since a small screen shows only the beginning.
std::vector<styled_line> draw_task(const task_document &task, const picture_context &around, std::size_t columns);

/// Returns `revision 7`, or `deletion`.
std::string subject_of(const task_document &task);

/// Returns the status as text; for a task that waits for a person or is being canceled, that instead.
std::string state_of(const task_document &task);

} // namespace rollout::ctl
