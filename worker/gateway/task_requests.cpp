// What a gateway asks: for a new task, for a change to one, for one that it does not hold.
#include "worker/gateway/gateway_server.hpp"

#include "common/domain/limits.hpp"
#include "common/domain/names.hpp"
#include "common/link/frame.hpp"
#include "common/link/submission_line.hpp"
#include "worker/base/log.hpp"
#include "worker/base/words.hpp"
#include "worker/gateway/audit.hpp"
#include "worker/gateway/line_of.hpp"
#include "worker/gateway/session.hpp"

namespace rollout {

void gateway_server::take_submissions(const session_ptr &from)
{
    for (auto lines = from->reader.lines(); !lines.empty() && !from->closed();) {
        if (const auto line = read_submission(next_line(lines))) {
            take_submission(from, *line);
        } else {
            end(from, "a submission that is none");
        }
    }
}


void gateway_server::take_submission(const session_ptr &from, const submission_line &line)
{
    // The gateway has checked all of this; it is another process all the same.
    json_error_t error;
    submission wanted;
    if (line.config.size() <= limits::config_bytes) {
        wanted.config = json_read(line.config, JSON_REJECT_DUPLICATES, error);
    }
    if (!json_is_object(wanted.config.get())) {
        end(from, "a submission that is none");
        return;
    }
    wanted.kind = line.kind;
    wanted.task_id = line.task_id;
    wanted.model_id = line.model_id;
    wanted.parent_id = line.parent_id;

    if (!may_ask(from)) {
        return;
    }
    asked_change what = {kind_name(line.kind), wanted.task_id, wanted.model_id, requester_from_line(line.by), false};
    on_submit(std::move(wanted), answer_to(from, line.id, std::move(what)));
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
    if (!may_ask(from)) {
        return;
    }
    steer_request wanted = {*kind, task_id, *verb, new_task_id};
    asked_change what = {steering_name(*verb), task_id, "", requester_from_line(from->reader.lines()), true};
    on_steer(std::move(wanted), answer_to(from, id, std::move(what)));
}


/// What happens when it is known what became of a submission, or of a word to a task.
answer_fn gateway_server::answer_to(const session_ptr &from, std::uint64_t id, asked_change what)
{
    return [this, id, what = std::move(what), to = std::weak_ptr<session>(from)](const request_answer &how) {
        audit(what, how);
        if (const auto open = to.lock(); open && !open->closed()) {
            --open->questions;
            answer_word(open, id, what.task_id, how, what.steers);
        }
    };
}


void gateway_server::answer_word(const session_ptr &to, std::uint64_t id, const std::string &task_id,
                                 const request_answer &how, bool steered)
{
    if (how.task == nullptr) {
        send_rejection(to, id, task_id, how.refused);
        return;
    }
    to->answers.append(1, '\n').append(std::to_string(id));
    to->answers.append(how.created ? " new " : steered ? " steered " : " existed ");
    append_task_line(to->answers, line_of(*how.task));
    if (to->answers.size() > limits::batch_bytes) {
        send_answers(to);
    }
    if (how.created && to->of->stream == to) {
        to->told.push_back(how.task->revision);
    }
}


void gateway_server::send_rejection(const session_ptr &to, std::uint64_t id, const std::string &task_id,
                                    const rejection &why)
{
    json_ptr refused = message_of(rolloutd_frame::rejected);
    json_put(refused.get(), "id", json_make_number(id));
    json_put(refused.get(), "status", json_made(json_integer(why.status)));
    json_put(refused.get(), "detail", clean_text(why.detail, limits::detail_characters));
    json_put(refused.get(), "task_id", task_id);
    json_put(refused.get(), "retry_after_s", json_make_number(why.retry_after_s));
    json_ptr errors = json_make_array();
    for (const auto &fault : why.errors) {
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
    if (waits ? !watch(from, id, task_id, {after, *kind}) : !may_ask(from)) {
        return;
    }

    const auto found = [this, id, waits, after, kind,
                        to = std::weak_ptr<session>(from)](const outcome &ended, const std::optional<task_row> &row) {
        const auto open = to.lock();
        if (!open || open->closed()) {
            return;
        }
        open->questions -= waits ? 0 : 1;
        if (!ended) {
            log(log_level::error, "A task could not be read for a gateway: " + ended.detail);
            if (!waits) { // who waits hears of the next change
                send(open, message_text(rolloutd_frame::found, "\"failed\":true,\"id\":" + std::to_string(id)));
            }
            return;
        }
        const task_row *there = row && row->kind == *kind ? &*row : nullptr;
        if (!waits) {
            answer_lookup(open, id, there);
        } else if ((there == nullptr || there->revision > after) && forget(open, id)) {
            answer_lookup(open, id, there);
        }
    };
    if (!task_id.empty()) {
        journal_.find(task_id, found);
    } else {
        journal_.find_latest(*kind, model_id, found);
    }
}


/// Counts a question that will be answered. A gateway keeps to the bound by itself: what goes beyond it is none.
bool gateway_server::may_ask(const session_ptr &from)
{
    if (from->questions >= limits::requests_in_flight) {
        end(from,
            "more than " + std::to_string(limits::requests_in_flight) + " questions without waiting for an answer");
        return false;
    }
    ++from->questions;
    return true;
}


bool gateway_server::watch(const session_ptr &from, std::uint64_t id, const std::string &task_id, watcher how)
{
    if (from->watches.size() >= limits::waiting_clients_most) {
        end(from, "more than " + std::to_string(limits::waiting_clients_most) + " clients that wait");
        return false;
    }
    if (!from->watches.emplace(id, task_id).second) {
        end(from, "a question with the number of another");
        return false;
    }
    watchers_[task_id].emplace(watcher_name(from.get(), id), how);
    return true;
}


/// False where nobody watches by that name.
bool gateway_server::forget(const session_ptr &from, std::uint64_t id)
{
    const auto known = from->watches.find(id);
    if (known == from->watches.end()) {
        return false;
    }
    const auto of_task = watchers_.find(known->second);
    of_task->second.erase({from.get(), id});
    if (of_task->second.empty()) {
        watchers_.erase(of_task);
    }
    from->watches.erase(known);
    return true;
}


void gateway_server::answer_lookup(const session_ptr &to, std::uint64_t id, const task_row *row)
{
    std::string text = message_text(rolloutd_frame::found, "\"id\":" + std::to_string(id));
    if (row != nullptr) {
        append_task_line(text += '\n', line_of(*row));
    }
    send(to, text);
}


void gateway_server::tell_news()
{
    for (const auto &row : std::exchange(news_, {})) {
        wake_watchers(row);
    }
}


void gateway_server::wake_watchers(const task_row &row)
{
    const auto of_task = watchers_.find(row.task_id);
    if (of_task == watchers_.end()) {
        return;
    }
    auto &all = of_task->second;
    for (auto at = all.begin(); at != all.end();) {
        const auto &[by, id] = at->first;
        if (row.revision <= at->second.after) {
            ++at;
            continue;
        }
        answer_lookup(by->shared_from_this(), id, row.kind == at->second.kind ? &row : nullptr);
        by->watches.erase(id);
        at = all.erase(at);
    }
    if (all.empty()) {
        watchers_.erase(of_task);
    }
}

} // namespace rollout
