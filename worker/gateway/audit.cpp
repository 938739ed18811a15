#include "worker/gateway/audit.hpp"

#include "worker/base/log.hpp"

namespace rollout {

namespace {

struct verdict {
    std::string_view result; ///< a word for programs
    std::string_view words;  ///< for people
};


verdict of_accepted(const asked_change &what, const request_answer &how) noexcept
{
    if (is_final(how.task->status) && how.created) {
        return {"refused", "A task is refused"};
    }
    if (how.created) {
        return {"created", "A task is accepted"};
    }
    return what.steers ? verdict{"done", "A task is steered"} : verdict{"existed", "A task was there already"};
}


verdict of_rejected(const rejection &why) noexcept
{
    return {why.status >= 500 ? "failed" : "refused", why.detail};
}

} // namespace


void audit(const asked_change &what, const request_answer &how) noexcept
try {
    const verdict is = how.task != nullptr ? of_accepted(what, how) : of_rejected(how.refused);
    std::string model_id = what.model_id;
    if (model_id.empty() && how.task != nullptr) {
        const auto read = task_of(*how.task);
        model_id = read ? read->model_id : "";
    }
    const bool another = how.task != nullptr && how.task->task_id != what.task_id;
    log(log_level::info, is.words,
        {{"audit", what.action},
         {"result", is.result},
         {"status", how.task != nullptr ? "" : std::to_string(how.refused.status)},
         {"task_id", what.task_id},
         {"new_task_id", another ? how.task->task_id : ""},
         {"model_id", model_id},
         {"remote_addr", what.by.address},
         {"remote_user", what.by.user},
         {"client_certificate", what.by.certificate}});
} catch (...) {
    log(log_level::error, "A line of the audit could not be made",
        {{"audit", what.action}, {"task_id", what.task_id}});
}

} // namespace rollout
