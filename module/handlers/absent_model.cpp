#include "module/handlers/absent_model.hpp"

#include "common/domain/identifiers.hpp"
#include "module/configuration.hpp"

#include <optional>
#include <string>

namespace rollout {

namespace {

std::optional<task_record> latest_task(ngx_http_request_t *r, task_kind kind, std::string_view model_id)
{
    task_record task;
    const auto found = read_records(*main_of(r).zone, [&](record_store &records) {
        return task_table(records).latest(kind, model_id, pool_memory(r->pool), task);
    });
    return found == record_store::found::yes ? std::optional(task) : std::nullopt;
}

} // namespace


problem absent_model(ngx_http_request_t *r, std::string_view model_id)
{
    problem answer;
    answer.status = 404;
    if (!is_model_id(model_id)) {
        answer.detail = "There is no model of that name here.";
        return answer;
    }
    const std::string name(model_id);
    const auto deletion = latest_task(r, task_kind::remove, model_id);
    const auto deployment = latest_task(r, task_kind::deploy, model_id);
    const bool is_last = deletion && (!deployment || deployment->sequence < deletion->sequence);
    if (is_last && (deletion->status == task_status::completed || deletion->status == task_status::in_progress)) {
        answer.detail =
            "Model \"" + name +
            (is_final(deletion->status) ? "\" was deleted by task \"" : "\" is being deleted by task \"") +
            std::string(deletion->task_id) + "\"; see GET /delete-status/" + name + ".";
    } else {
        answer.detail =
            "There is no model \"" + name + "\" here; GET /deploy-status/" + name + " says what became of it.";
    }
    return answer;
}

} // namespace rollout
