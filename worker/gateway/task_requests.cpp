#include "worker/gateway/task_requests.hpp"

#include "common/domain/identifiers.hpp"
#include "common/domain/limits.hpp"
#include "common/link/frame.hpp"
#include "worker/base/format.hpp"
#include "worker/gateway/audit.hpp"
#include "worker/gateway/line_of.hpp"

#include <memory>
#include <utility>

namespace rollout {

namespace {

void send_rejection(session &to, std::uint64_t id, const std::string &task_id, const rejection &why)
{
    json_ptr refused = message_of(rolloutd_frame::rejected);
    json_put(refused.get(), "id", json_make_number(id));
    json_put(refused.get(), "status", json_made(json_integer(why.status)));
    json_put(refused.get(), "detail", clean_text(why.detail, limits::detail_characters));
    json_put(refused.get(), "task_id", task_id);
    json_put(refused.get(), "retry_after_s", json_make_number(why.retry_after_s));
    json_ptr errors = json_make_array();
    for (const auto &fault : why.errors) {
        json_ptr error = json_make_object();
        json_put(error.get(), "pointer", fault.pointer);
        json_put(error.get(), "detail", clean_text(fault.detail, limits::step_detail_characters));
        json_add(errors.get(), std::move(error));
    }
    json_put(refused.get(), "errors", std::move(errors));
    to.send(refused);
}

} // namespace


void task_requests::on_submissions(const session_ptr &from)
{
    for (auto lines = from->lines(); !lines.empty() && !from->closed();) {
        if (const auto line = read_submission(next_line(lines))) {
            on_submission(from, *line);
        } else {
            from->end("a malformed submission");
        }
    }
}


void task_requests::on_submission(const session_ptr &from, const submission_line &line)
{
    // The gateway has checked all of this, but it is another process.
    json_error_t error;
    submission wanted;
    if (line.config.size() <= limits::config_bytes) {
        wanted.config = json_read(line.config, JSON_REJECT_DUPLICATES, error);
    }
    if (!json_is_object(wanted.config.get())) {
        from->end("a malformed submission");
        return;
    }
    wanted.kind = line.kind;
    wanted.task_id = line.task_id;
    wanted.model_id = line.model_id;
    wanted.parent_id = line.parent_id;
    wanted.by = client_identity_from_line(line.by);

    if (!from->begin_question()) {
        return;
    }
    asked_change asked = {kind_name(line.kind), wanted.task_id, wanted.model_id, wanted.by, false};
    around_.submit(std::move(wanted), answer_to(from, line.id, std::move(asked)));
}


void task_requests::on_steer(const session_ptr &from, const json_t *message)
{
    const auto id = json_count(message, "id");
    const auto kind = kind_from(json_text(message, "kind"));
    const auto verb = task_verb_from(json_text(message, "verb"));
    const std::string task_id(json_text(message, "task_id"));
    const std::string new_task_id(json_text(message, "new_task_id"));
    if (!kind || !verb || !is_task_id(task_id) ||
        (!new_task_id.empty() && !(makes_a_task(*verb) && is_task_id(new_task_id))) ||
        (*kind == task_kind::remove && *verb != task_verb::cancel && *verb != task_verb::retry)) {
        from->end("a malformed task verb");
        return;
    }
    if (!from->begin_question()) {
        return;
    }
    steer_request wanted = {*kind,
                            task_id,
                            *verb,
                            new_task_id,
                            client_identity_from_line(from->lines()),
                            json_counts(message, "only_at")};
    asked_change asked = {verb_name(*verb), task_id, "", wanted.by, true};
    around_.steer(std::move(wanted), answer_to(from, id, std::move(asked)));
}


answer_fn task_requests::answer_to(const session_ptr &from, std::uint64_t id, asked_change asked)
{
    return [this, id, asked = std::move(asked), to = std::weak_ptr<session>(from)](const request_answer &answer) {
        audit(asked, answer);
        if (const auto open = to.lock(); open && !open->closed()) {
            open->end_question();
            send_answer(*open, id, asked, answer);
        }
    };
}


void task_requests::send_answer(session &to, std::uint64_t id, const asked_change &asked,
                                const request_answer &answer)
{
    if (answer.task == nullptr) {
        send_rejection(to, id, asked.task_id, answer.refused);
        return;
    }
    to.answer(id, answer.created ? "new" : asked.steers ? "steered" : "existed", line_of(*answer.task));
    if (answer.created) {
        around_.on_told(to, answer.task->revision);
    }
}

} // namespace rollout
