#include "worker/gateway/audit.hpp"

#include "worker/base/log.hpp"

namespace rollout {

namespace {

struct verdict {
    std::string_view result; ///< for programs
    std::string_view words;  ///< for people
};


verdict of_accepted(const asked_change &asked, const request_answer &answer) noexcept
{
    if (is_final(answer.task->status) && answer.created) {
        return {"refused", "A task is refused"};
    }
    if (answer.created) {
        return {"created", "A task is accepted"};
    }
    return asked.steers ? verdict{"done", "A task is steered"} : verdict{"existed", "A task was there already"};
}


verdict of_rejected(const rejection &why) noexcept
{
    return {why.status >= 500 ? "failed" : "refused", why.detail};
}

} // namespace


void audit(const asked_change &asked, const request_answer &answer) noexcept
try {
    const verdict is = answer.task != nullptr ? of_accepted(asked, answer) : of_rejected(answer.refused);
    std::string model_id = asked.model_id;
    if (model_id.empty() && answer.task != nullptr) {
        const auto read = task_of(*answer.task);
        model_id = read ? read->model_id : "";
    }
    const bool another = answer.task != nullptr && answer.task->task_id != asked.task_id;
    log(log_level::info, is.words,
        {{"audit", asked.action},
         {"result", is.result},
         {"status", answer.task != nullptr ? "" : std::to_string(answer.refused.status)},
         {"task_id", asked.task_id},
         {"new_task_id", another ? answer.task->task_id : ""},
         {"model_id", model_id},
         {"remote_addr", asked.by.address},
         {"remote_user", asked.by.user},
         {"client_certificate", asked.by.certificate}});
} catch (...) {
    log(log_level::error, "A line of the audit could not be made",
        {{"audit", asked.action}, {"task_id", asked.task_id}});
}

} // namespace rollout
