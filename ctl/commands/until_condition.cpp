#include "ctl/commands/until_condition.hpp"

#include "common/base/text.hpp"

namespace rollout::ctl {

std::optional<until_condition> until_condition::read(std::string_view text) noexcept
{
    static constexpr std::string_view weight = "weight=";
    until_condition to;
    if (text == "final") {
        return to;
    }
    if (text == "waiting") {
        to.person_ = true;
        return to;
    }
    unsigned percent = 0;
    if (text.starts_with(weight) && read_number(text.substr(weight.size()), percent) && percent <= 100) {
        to.weight_ = percent;
        return to;
    }
    return std::nullopt;
}


std::optional<exit_code> until_condition::result_of(const task_document &task) const noexcept
{
    switch (task.status) {
    case task_status::completed:
        return exit_code::success;
    case task_status::failed:
    case task_status::refused:
        return exit_code::failed;
    case task_status::canceled:
        return exit_code::canceled;
    case task_status::pending:
    case task_status::in_progress:
        break;
    }
    const bool is_reached = (person_ && task.waits_for_person()) || (weight_ && task.weight >= *weight_);
    return is_reached ? std::optional(exit_code::success) : std::nullopt;
}

} // namespace rollout::ctl
