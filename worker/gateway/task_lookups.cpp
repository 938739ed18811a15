#include "worker/gateway/task_lookups.hpp"

#include "common/domain/identifiers.hpp"
#include "common/domain/limits.hpp"
#include "common/link/frame.hpp"
#include "worker/base/log.hpp"
#include "worker/gateway/line_of.hpp"

#include <memory>
#include <optional>

namespace rollout {

namespace {

/// `row`: null if there is no such task.
void send_found(session &to, std::uint64_t id, const task_row *row)
{
    std::string text = message_text(rolloutd_frame::found, "\"id\":" + std::to_string(id));
    if (row != nullptr) {
        append_task_line(text += '\n', line_of(*row));
    }
    to.send(text);
}

} // namespace


void task_lookups::on_lookup(const session_ptr &from, const json_t *message)
{
    const auto id = json_count(message, "id");
    const auto kind = kind_from(json_text(message, "kind"));
    const std::string task_id(json_text(message, "task_id"));
    const std::string model_id(json_text(message, "model_id"));
    if (!kind || is_task_id(task_id) == is_model_id(model_id)) {
        from->end("a malformed lookup");
        return;
    }
    const bool waits = json_object_get(message, "after") != nullptr;
    const auto after = json_count(message, "after");
    if (waits ? !watch(from, id, task_id, {after, *kind}) : !from->begin_question()) {
        return;
    }

    const auto found = [this, id, waits, after, kind,
                        to = std::weak_ptr<session>(from)](const outcome &ended, const std::optional<task_row> &row) {
        const auto open = to.lock();
        if (!open || open->closed()) {
            return;
        }
        if (!waits) {
            open->end_question();
        }
        if (!ended) {
            log(log_level::error, "A task could not be read for a gateway: " + ended.detail);
            if (!waits) { // a waiting question gets the next change
                open->send(message_text(rolloutd_frame::found, "\"failed\":true,\"id\":" + std::to_string(id)));
            }
            return;
        }
        const task_row *there = row && row->kind == *kind ? &*row : nullptr;
        const bool is_news = there == nullptr || there->revision > after;
        if (!waits || (is_news && forget(open.get(), id))) {
            send_found(*open, id, there);
        }
    };
    if (!task_id.empty()) {
        journal_.find(task_id, found);
    } else {
        journal_.find_latest(*kind, model_id, found);
    }
}


void task_lookups::on_forget(session &from, const json_t *message)
{
    forget(&from, json_count(message, "id"));
}


bool task_lookups::watch(const session_ptr &from, std::uint64_t id, const std::string &task_id, watcher added)
{
    auto &watched = watched_[from.get()];
    if (watched.size() >= limits::waiting_clients_most) {
        from->end("more than " + std::to_string(limits::waiting_clients_most) + " clients that wait");
        return false;
    }
    if (!watched.emplace(id, task_id).second) {
        from->end("a question with the number of another one that is open");
        return false;
    }
    watchers_[task_id].emplace(watcher_name(from.get(), id), added);
    return true;
}


/// Returns false if there is no such waiting question.
bool task_lookups::forget(session *from, std::uint64_t id)
{
    const auto of_link = watched_.find(from);
    if (of_link == watched_.end()) {
        return false;
    }
    const auto known = of_link->second.find(id);
    if (known == of_link->second.end()) {
        return false;
    }
    erase_watcher(known->second, {from, id});
    of_link->second.erase(known);
    if (of_link->second.empty()) {
        watched_.erase(of_link);
    }
    return true;
}


void task_lookups::erase_watcher(const std::string &task_id, const watcher_name &name)
{
    const auto of_task = watchers_.find(task_id);
    of_task->second.erase(name);
    if (of_task->second.empty()) {
        watchers_.erase(of_task);
    }
}


void task_lookups::on_end(session &which)
{
    if (const auto of_link = watched_.extract(&which)) {
        for (const auto &[id, task_id] : of_link.mapped()) {
            erase_watcher(task_id, {&which, id});
        }
    }
}


void task_lookups::on_changed(const std::vector<task_row> &rows)
{
    for (const auto &row : rows) {
        if (watchers_.contains(row.task_id)) {
            news_.push_back(row);
        }
    }
    if (!news_.empty()) {
        news_soon_ = time_.after({}, [this] { tell_news(); });
    }
}


void task_lookups::tell_news()
{
    for (const auto &row : std::exchange(news_, {})) {
        wake_watchers(row);
    }
}


void task_lookups::wake_watchers(const task_row &row)
{
    const auto of_task = watchers_.find(row.task_id);
    if (of_task == watchers_.end()) {
        return;
    }
    // Collects all of them before it answers: an answer may end its link, and with it that link's questions.
    std::vector<std::pair<watcher_name, watcher>> woken;
    for (const auto &[name, waiting] : of_task->second) {
        if (row.revision > waiting.after) {
            woken.emplace_back(name, waiting);
        }
    }
    for (const auto &[name, waiting] : woken) {
        const auto &[by, id] = name;
        if (forget(by, id)) {
            send_found(*by, id, row.kind == waiting.kind ? &row : nullptr);
        }
    }
}

} // namespace rollout
