#include "ctl/view/task_changes.hpp"

#include "common/base/timestamp.hpp"
#include "ctl/view/task_picture.hpp"

namespace rollout::ctl {

std::string task_changes::line_of(const task_document &task)
{
    constexpr std::size_t seconds_characters = sizeof("2026-11-24T16:09:21") - 1;
    const std::string step = task.step.empty() || is_final(task.status) ? "" : ", " + task.step;
    const std::string weight =
        task.weight != 0 && !is_final(task.status) ? ", " + std::to_string(task.weight) + " %" : "";
    const std::string words =
        task.model_id + ' ' + subject_of(task) + ' ' + state_of(task) + step + weight + ": " + task.detail;
    if (words == last_) {
        return {};
    }
    last_ = words;
    return timestamp(task.updated_us).substr(0, seconds_characters) + "Z " + words;
}

} // namespace rollout::ctl
