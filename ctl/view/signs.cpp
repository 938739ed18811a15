#include "ctl/view/signs.hpp"

#include <string>

namespace rollout::ctl {

style style_of(task_status status) noexcept
{
    switch (status) {
    case task_status::pending:
        return style::dim;
    case task_status::in_progress:
        return style::bold;
    case task_status::completed:
        return style::good;
    case task_status::failed:
    case task_status::refused:
        return style::bad;
    case task_status::canceled:
        return style::warning;
    }
    return style::plain;
}


styled_line sign_of_step(std::string_view state)
{
    if (state == "done") {
        return styled_line(std::string(done_sign), style::good);
    }
    if (state == "failed") {
        return styled_line(std::string(failed_sign), style::bad);
    }
    if (state == "running") {
        return styled_line(std::string(running_sign), style::bold);
    }
    return styled_line(std::string(state == "skipped" ? skipped_sign : pending_sign), style::dim);
}

} // namespace rollout::ctl
