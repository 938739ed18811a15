// What a gateway asks: for a new task, for a change to one, for one that it does not hold.
#include "worker/gateway_server.hpp"

#include "common/frame.hpp"
#include "common/limits.hpp"
#include "common/names.hpp"
#include "worker/audit.hpp"
#include "worker/gateway_messages.hpp"
#include "worker/gateway_session.hpp"
#include "worker/log.hpp"
#include "worker/words.hpp"

namespace rollout {

void gateway_server::take_submit(const session_ptr &from, const json_t *message)
{
    const auto id = json_count(message, "id");
    const auto kind = kind_from(json_text(message, "kind"));
    submission wanted;
    wanted.task_id = json_text(message, "task_id");
    wanted.model_id = json_text(message, "model_id");
    wanted.parent_id = json_text(message, "parent_id");
    json_t *config = json_object_get(message, "config");
    // The gateway has checked all of this; it is another process all the same.
    if (!kind || !is_task_id(wanted.task_id) || !is_model_id(wanted.model_id) ||
        (!wanted.parent_id.empty() && !is_task_id(wanted.parent_id)) || !json_is_object(config)) {
        end(from, "a submission that is none");
        return;
    }
    wanted.kind = *kind;
    wanted.config = json_share(config);

    asked_change what = {kind_name(*kind), wanted.task_id, wanted.model_id,
                         requester_from_json(json_object_get(message, "by")), false};
    on_submit(std::move(wanted), answer_to(from, id, std::move(what)));
}


void gateway_server::take_steer(const session_ptr &from, const json_t *message)
{
    const auto id = json_count(message, "id");
    const auto kind = kind_from(json_text(message, "kind"));
    const auto verb = steering_from(json_text(message, "verb"));
    const std::string task_id(json_text(message, "task_id"));
    const std::string new_task_id(json_text(message, "new_task_id"));
    if (!kind || !verb || !is_task_id(task_id) ||
        (!new_task_id.empty() && !(makes_a_task(*verb) && is_task_id(new_task_id))) ||
        (*kind == task_kind::remove && *verb != steering::cancel && *verb != steering::retry)) {
        end(from, "a word to a task that is none");
        return;
    }
    steer_request wanted = {*kind, task_id, *verb, new_task_id};
    asked_change what = {steering_name(*verb), task_id, "", requester_from_json(json_object_get(message, "by")),
                         true};
    on_steer(std::move(wanted), answer_to(from, id, std::move(what)));
}


/// What happens when it is known what became of a submission, or of a word to a task.
gateway_server::answer_fn gateway_server::answer_to(const session_ptr &from, std::uint64_t id, asked_change what)
{
    return [this, id, what = std::move(what), to = std::weak_ptr<session>(from)](const answer &how) {
        audit(what, how);
        if (const auto open = to.lock()) {
            answer_word(open, id, what.task_id, how, what.steers);
        }
    };
}


void gateway_server::answer_word(const session_ptr &to, std::uint64_t id, const std::string &task_id,
                                 const answer &how, bool steered)
{
    if (how.task != nullptr) {
        send(to, "{\"type\":\"accepted\",\"id\":" + std::to_string(id) +
                     ",\"created\":" + (how.created ? "true" : "false") +
                     ",\"steered\":" + (steered ? "true" : "false") + ",\"task\":" + text_of(*how.task) + "}");
        return;
    }
    json_ptr refused = message_of("rejected");
    json_put(refused.get(), "id", json_make_number(id));
    json_put(refused.get(), "status", json_made(json_integer(how.refused.status)));
    json_put(refused.get(), "detail", clean_text(how.refused.detail, limits::detail_characters));
    json_put(refused.get(), "task_id", task_id);
    json_put(refused.get(), "retry_after_s", json_make_number(how.refused.retry_after_s));
    json_ptr errors = json_make_array();
    for (const auto &fault : how.refused.errors) {
        json_ptr one = json_make_object();
        json_put(one.get(), "pointer", fault.pointer);
        json_put(one.get(), "detail", clean_text(fault.detail, limits::step_detail_characters));
        json_add(errors.get(), std::move(one));
    }
    json_put(refused.get(), "errors", std::move(errors));
    send(to, refused);
}


void gateway_server::take_lookup(const session_ptr &from, const json_t *message)
{
    const auto id = json_count(message, "id");
    const auto kind = kind_from(json_text(message, "kind"));
    const std::string task_id(json_text(message, "task_id"));
    const std::string model_id(json_text(message, "model_id"));
    if (!kind || is_task_id(task_id) == is_model_id(model_id)) {
        end(from, "a look-up of nothing");
        return;
    }
    const bool waits = json_object_get(message, "after") != nullptr;
    const auto after = json_count(message, "after");
    if (waits) {
        watchers_.emplace(task_id, watcher{from, id, after, *kind});
    }

    const auto found = [this, id, waits, after, kind, task_id,
                        to = std::weak_ptr<session>(from)](const outcome &ended, const std::optional<task_row> &row) {
        const auto open = to.lock();
        if (!open) {
            return;
        }
        if (!ended) {
            log(log_level::error, "A task could not be read for a gateway: " + ended.detail);
            if (!waits) { // who waits hears of the next change
                send(open, R"({"type":"found","failed":true,"id":)" + std::to_string(id) + "}");
            }
            return;
        }
        const task_row *there = row && row->kind == *kind ? &*row : nullptr;
        if (!waits) {
            answer_lookup(open, id, there);
        } else if (there == nullptr || there->revision > after) {
            const auto removed = std::erase_if(watchers_, [&](const auto &entry) {
                return entry.first == task_id && entry.second.id == id && entry.second.by.lock() == open;
            });
            if (removed != 0) {
                answer_lookup(open, id, there);
            }
        }
    };
    if (!task_id.empty()) {
        journal_.find(task_id, found);
    } else {
        journal_.find_latest(*kind, model_id, found);
    }
}


void gateway_server::answer_lookup(const session_ptr &to, std::uint64_t id, const task_row *row)
{
    send(to, "{\"type\":\"found\",\"id\":" + std::to_string(id) +
                 ",\"task\":" + (row != nullptr ? text_of(*row) : "null") + "}");
}


void gateway_server::wake_watchers(const task_row &row)
{
    const auto [first, last] = watchers_.equal_range(row.task_id);
    for (auto at = first; at != last;) {
        const auto by = at->second.by.lock();
        if (by && row.revision <= at->second.after) {
            ++at;
            continue;
        }
        if (by) {
            answer_lookup(by, at->second.id, row.kind == at->second.kind ? &row : nullptr);
        }
        at = watchers_.erase(at);
    }
}

} // namespace rollout
