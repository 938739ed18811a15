#include "ctl/view/task_table.hpp"

#include "ctl/base/durations.hpp"
#include "ctl/view/signs.hpp"
#include "ctl/view/table.hpp"
#include "ctl/view/task_picture.hpp"

#include <chrono>

namespace rollout::ctl {

std::vector<styled_line> task_table(const std::vector<task_document> &tasks, std::int64_t now_us)
{
    table rows({"MODEL", "TASK OF", "STATE", "WEIGHT", "AGE", "CREATED BY", "ID", "DETAIL"});
    for (const auto &task : tasks) {
        const auto age = std::chrono::microseconds(now_us - task.created_us);
        rows.add({styled_line(task.model_id, style::bold), styled_line(subject_of(task)),
                  styled_line(state_of(task), style_of(task.status)),
                  styled_line(task.kind == task_kind::deploy ? std::to_string(task.weight) + " %" : ""),
                  styled_line(format_duration(std::chrono::duration_cast<std::chrono::milliseconds>(age))),
                  styled_line(task.created_by, style::dim), styled_line(task.task_id), styled_line(task.detail)});
    }
    return rows.lines();
}

} // namespace rollout::ctl
