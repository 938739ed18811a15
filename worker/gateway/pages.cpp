#include "worker/gateway/pages.hpp"

#include "common/base/json_writer.hpp"
#include "common/domain/identifiers.hpp"
#include "common/domain/limits.hpp"
#include "common/link/frame.hpp"
#include "worker/base/log.hpp"
#include "worker/gateway/line_of.hpp"
#include "worker/gateway/model_document.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

namespace rollout {

namespace {

/// How many pages are read at a time: each may take most of a frame.
constexpr std::size_t most_pages = 4;

/// A link with this much unsent gets no page in addition.
constexpr std::size_t most_unsent_bytes = 8 * 1024 * 1024;

/// How many models are written in a turn of the loop.
constexpr std::size_t models_a_turn = 32;

/// How many tasks are named in the entry of a model.
constexpr std::size_t most_tasks = 100;


/// Writes a page into the frame itself, for an nginx that does not ask for lines.
std::string page_of(const std::vector<task_row> &rows, bool more)
{
    std::string text = "\"tasks\":[";
    for (const auto &row : rows) {
        text += (&row == &rows.front() ? "" : ",") + row.document;
    }
    return text + "],\"next\":" + (more ? std::to_string(rows.back().sequence) : "null");
}

} // namespace


/// Passes on tasks as the journal stores them, which takes almost no time.
void pages::write_tasks(const std::vector<task_row> &rows, bool more, const page_fn &done)
{
    page_part part{"\"more\":true", {}, false};
    for (const auto &row : rows) {
        if (part.lines.size() > limits::batch_bytes) {
            done(outcome::ok(), part);
            part.lines.clear();
        }
        append_task_line(part.lines += '\n', line_of(row));
    }
    part.members = "\"next\":" + (more ? std::to_string(rows.back().sequence) : "null");
    part.is_last = true;
    done(outcome::ok(), part);
}


void pages::on_list(const session_ptr &from, const json_t *message)
{
    const auto kind = kind_from(json_text(message, "kind"));
    const auto limit = json_count(message, "limit");
    task_filter which;
    which.status = status_from(json_text(message, "status"));
    which.model_id = json_text(message, "model_id");
    which.before = json_count(message, "before");
    if (!kind || limit == 0 || limit > limits::page_most ||
        (json_object_get(message, "status") != nullptr && !which.status) ||
        (!which.model_id.empty() && !is_model_id(which.model_id))) {
        from->end("a malformed request for a list");
        return;
    }
    which.kind = *kind;
    if (!from->begin_question()) {
        return;
    }
    const bool in_lines = json_is_true(json_object_get(message, "in_lines"));
    waiting_.push_back({from, json_count(message, "id"), rolloutd_frame::listed, "\"tasks\":null,\"next\":null",
                        [this, which, limit, in_lines](const page_fn &done) {
                            around_.journal.list(
                                which, limit, limits::page_bytes,
                                [in_lines, done](const outcome &ended, const std::vector<task_row> &rows, bool more) {
                                    if (!ended || !in_lines) {
                                        done(ended, {ended ? page_of(rows, more) : "", {}});
                                    } else {
                                        write_tasks(rows, more, done);
                                    }
                                });
                        }});
    read_next();
}


void pages::on_models(const session_ptr &from, const json_t *message)
{
    const std::string after(json_text(message, "after"));
    const auto limit = json_count(message, "limit");
    if (limit == 0 || limit > limits::page_most || (!after.empty() && !is_model_id(after))) {
        from->end("a malformed request for the models");
        return;
    }
    if (!from->begin_question()) {
        return;
    }
    const bool in_lines = json_is_true(json_object_get(message, "in_lines"));
    waiting_.push_back({from, json_count(message, "id"), rolloutd_frame::listed_models,
                        "\"models\":null,\"next\":null", [this, after, limit, in_lines](const page_fn &done) {
                            around_.journal.list_models(
                                after, limit,
                                [this, in_lines, done](const outcome &ended, std::vector<model> models, bool more) {
                                    if (!ended) {
                                        done(ended, {});
                                        return;
                                    }
                                    models_.push_back(std::make_shared<models_page>(
                                        models_page{std::move(models), more, in_lines, done, 0, 0, {}, {}}));
                                    write_models();
                                });
                        }});
    read_next();
}


/// Writes some models of the page whose turn it is, so that other requests to rolloutd do not wait for a thousand of
/// them.
void pages::write_models()
{
    if (models_.empty()) {
        return;
    }
    const auto page = models_.front();
    models_.pop_front();
    const std::size_t end = std::min(page->models.size(), page->next + models_a_turn);
    for (const std::size_t before = page->bytes; page->next < end && page->bytes - before <= limits::batch_bytes;) {
        const auto &from = page->models[page->next];
        const auto entry = json_compact(model_document(from, around_.losses_of(from.model_id),
                                                       around_.tasks_of(from.model_id, most_tasks),
                                                       around_.unreached_servers_of(from))
                                            .get());
        if (page->bytes != 0 && page->bytes + entry.size() > limits::page_bytes) {
            page->more = true;
            page->next = page->models.size();
            break;
        }
        page->text += (page->in_lines ? "\n" : page->bytes == 0 ? "" : ",") + entry;
        page->bytes += entry.size();
        page->last = from.model_id;
        ++page->next;
    }
    const bool ends = page->next == page->models.size();
    if (!ends) {
        models_.push_back(page);
    }
    if (!models_.empty()) {
        models_soon_ = around_.time.after(std::chrono::milliseconds(1), [this] { write_models(); });
    }
    if (ends || page->in_lines) {
        std::string text = std::exchange(page->text, {});
        const std::string next = "\"next\":" + (page->more ? "\"" + page->last + "\"" : "null");
        page->done(outcome::ok(), page->in_lines ? page_part{ends ? next : "\"more\":true", std::move(text), ends}
                                                 : page_part{"\"models\":[" + text + "]," + next, {}});
    }
}


void pages::on_series(const session_ptr &from, const json_t *message)
{
    const std::string task_id(json_text(message, "task_id"));
    if (!is_task_id(task_id)) {
        from->end("a malformed request for a series");
        return;
    }
    if (!from->begin_question()) {
        return;
    }
    waiting_.push_back({from, json_count(message, "id"), rolloutd_frame::series_found, "\"failed\":true",
                        [this, task_id](const page_fn &done) {
                            around_.find_series(
                                task_id, [done](const outcome &ended, const std::optional<std::string> &document) {
                                    done(ended, {"\"failed\":false", document ? "\n" + *document : ""});
                                });
                        }});
    read_next();
}


void pages::on_metrics(const session_ptr &from, const json_t *message) const
{
    const bool is_heard = from->unsent() < most_unsent_bytes;
    json_writer metered;
    metered.begin_object()
        .name("type")
        .text(frame_name(rolloutd_frame::metered))
        .name("id")
        .number(json_count(message, "id"));
    metered.name("text").text(is_heard ? around_.metrics() : "").end_object();
    from->send(metered.take());
}


void pages::read_next()
{
    while (under_way_ < most_pages && !waiting_.empty()) {
        const auto asked = std::make_shared<question>(std::move(waiting_.front()));
        waiting_.pop_front();
        if (asked->by.expired()) {
            continue;
        }
        ++under_way_;
        asked->read([this, asked](const outcome &ended, const page_part &part) { send(*asked, ended, part); });
    }
}


void pages::send(question &asked, const outcome &ended, const page_part &part)
{
    if (!ended) {
        log(log_level::error, "A list could not be read: " + ended.detail);
    }
    const auto open = asked.by.lock();
    if (open && !open->closed()) {
        if (!std::exchange(asked.is_begun, true)) {
            asked.is_refused = !ended || open->unsent() >= most_unsent_bytes;
        }
        if (part.is_last) {
            open->end_question();
        }
        if (!asked.is_refused || part.is_last) {
            const auto members =
                "\"id\":" + std::to_string(asked.id) + "," + (asked.is_refused ? asked.none : part.members);
            open->send(message_text(asked.type, members) + (asked.is_refused ? "" : part.lines));
        }
    }
    if (part.is_last) {
        --under_way_;
        read_next();
    }
}

} // namespace rollout
