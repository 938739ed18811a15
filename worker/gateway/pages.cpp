// The lists that a gateway asks for: pages of tasks and of models, each within one frame.
#include "common/base/json_writer.hpp"
#include "common/domain/limits.hpp"
#include "common/domain/names.hpp"
#include "common/link/frame.hpp"
#include "worker/base/log.hpp"
#include "worker/base/words.hpp"
#include "worker/gateway/line_of.hpp"
#include "worker/gateway/gateway_server.hpp"
#include "worker/gateway/session.hpp"

#include <algorithm>
#include <utility>

namespace rollout {

namespace {

/// Pages that are read at a time: each may take most of a frame.
constexpr std::size_t most_pages = 4;

/// A link that has so much to be sent gets no page on top.
constexpr std::size_t most_unsent_bytes = 8 * 1024 * 1024;


/// Entries of models that are written in a turn of the loop.
constexpr std::size_t models_a_turn = 32;

/// Tasks that the entry of a model names.
constexpr std::size_t most_tasks = 100;


json_ptr placed(const std::optional<placed_revision> &from)
{
    if (!from) {
        return json_ptr(json_null());
    }
    json_ptr to = json_make_object();
    json_put(to.get(), "revision", json_make_number(from->revision));
    json_put(to.get(), "upstream", from->upstream);
    json_put(to.get(), "model", from->names());
    json_put(to.get(), "backend", from->backend);
    return to;
}


bool is_lost(const std::vector<lost_revision> &losses, const std::optional<placed_revision> &one)
{
    return one && std::ranges::any_of(losses, [&](const auto &lost) { return lost.revision == one->revision; });
}


std::string_view state_of(const model &from, const std::vector<lost_revision> &losses)
{
    // What is lost of a kept revision changes nothing for the model's clients.
    if (is_lost(losses, from.blue) || is_lost(losses, from.green)) {
        return std::ranges::any_of(losses, &lost_revision::reloading)     ? "reloading"
               : std::ranges::all_of(losses, &lost_revision::unreachable) ? "unreachable"
                                                                          : "lost";
    }
    return from.green || from.incoming ? "rolling_out" : from.blue ? "deployed" : "retiring";
}


/// A model as a client reads it.
json_ptr listed(const model &from, const std::vector<lost_revision> &losses, const std::vector<std::string> &tasks)
{
    json_ptr to = json_make_object();
    json_put(to.get(), "model_id", from.model_id);
    json_put(to.get(), "embedding_model_id", from.model_id);
    json_put(to.get(), "state", state_of(from, losses));
    std::string detail;
    for (const auto &lost : losses) {
        detail += (detail.empty() ? "" : " ") + lost.detail;
    }
    if (!detail.empty()) {
        json_put(to.get(), "detail", clean_text(detail, limits::detail_characters));
    }
    json_put(to.get(), "blue", placed(from.blue));
    json_put(to.get(), "green", placed(from.green ? from.green : from.incoming));
    json_put(to.get(), "weight", json_make_number(from.weight));
    json_put(to.get(), "last_revision", json_make_number(from.last_revision));
    json_ptr kept = json_make_array();
    for (const auto &one : from.kept) {
        json_ptr entry = json_make_object();
        json_put(entry.get(), "revision", json_make_number(one.revision));
        json_put(entry.get(), "loaded", json_ptr(json_boolean(one.load_begun && !is_lost(losses, one))));
        json_add(kept.get(), std::move(entry));
    }
    json_put(to.get(), "kept", std::move(kept));
    json_put(to.get(), "task_ids", json_make_array(tasks));
    return to;
}


/// Of a page that comes in the frame itself, for an nginx that does not ask for lines.
std::string page_of(const std::vector<task_row> &rows, bool more)
{
    std::string text = "\"tasks\":[";
    for (const auto &row : rows) {
        text += (&row == &rows.front() ? "" : ",") + row.document;
    }
    return text + "],\"next\":" + (more ? std::to_string(rows.back().sequence) : "null");
}

} // namespace


/// Models that are being written for a client.
struct gateway_server::models_page {
    std::vector<model> models;
    bool more = false;
    bool in_lines = false;
    page_fn done;
    std::size_t next = 0;  ///< of the models
    std::size_t bytes = 0; ///< so far
    std::string text;      ///< of the next part
    std::string last;      ///< the last model in it
};


/// Tasks are as the journal has them: to pass them on takes next to no time.
void gateway_server::send_tasks(const std::vector<task_row> &rows, bool more, const page_fn &done)
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


void gateway_server::take_list(const session_ptr &from, const json_t *message)
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
        end(from, "a list that is none");
        return;
    }
    which.kind = *kind;
    if (!may_ask(from)) {
        return;
    }
    const bool in_lines = json_is_true(json_object_get(message, "in_lines"));
    pages_.push_back({from, json_count(message, "id"), rolloutd_frame::listed, "\"tasks\":null,\"next\":null",
                      [this, which, limit, in_lines](const page_fn &done) {
                          journal_.list(
                              which, limit, limits::page_bytes,
                              [in_lines, done](const outcome &ended, const std::vector<task_row> &rows, bool more) {
                                  if (!ended || !in_lines) {
                                      done(ended, {ended ? page_of(rows, more) : "", {}});
                                  } else {
                                      send_tasks(rows, more, done);
                                  }
                              });
                      }});
    read_pages();
}


void gateway_server::take_models(const session_ptr &from, const json_t *message)
{
    const std::string after(json_text(message, "after"));
    const auto limit = json_count(message, "limit");
    if (limit == 0 || limit > limits::page_most || (!after.empty() && !is_model_id(after))) {
        end(from, "a list of models that is none");
        return;
    }
    if (!may_ask(from)) {
        return;
    }
    const bool in_lines = json_is_true(json_object_get(message, "in_lines"));
    pages_.push_back({from, json_count(message, "id"), rolloutd_frame::listed_models, "\"models\":null,\"next\":null",
                      [this, after, limit, in_lines](const page_fn &done) {
                          journal_.list_models(
                              after, limit,
                              [this, in_lines, done](const outcome &ended, std::vector<model> models, bool more) {
                                  if (!ended) {
                                      done(ended, {});
                                      return;
                                  }
                                  models_pages_.push_back(std::make_shared<models_page>(
                                      models_page{std::move(models), more, in_lines, done, 0, 0, {}, {}}));
                                  write_models();
                              });
                      }});
    read_pages();
}


/// Some of the page whose turn it is: what is asked of rolloutd at the same time does not wait for a thousand of them.
void gateway_server::write_models()
{
    if (models_pages_.empty()) {
        return;
    }
    const auto page = models_pages_.front();
    models_pages_.pop_front();
    const std::size_t end = std::min(page->models.size(), page->next + models_a_turn);
    for (const std::size_t before = page->bytes; page->next < end && page->bytes - before <= limits::batch_bytes;) {
        const auto &one = page->models[page->next];
        const auto entry =
            json_compact(listed(one, losses_of(one.model_id), tasks_of(one.model_id, most_tasks)).get());
        if (page->bytes != 0 && page->bytes + entry.size() > limits::page_bytes) {
            page->more = true;
            page->next = page->models.size();
            break;
        }
        page->text += (page->in_lines ? "\n" : page->bytes == 0 ? "" : ",") + entry;
        page->bytes += entry.size();
        page->last = one.model_id;
        ++page->next;
    }
    const bool ends = page->next == page->models.size();
    if (!ends) {
        models_pages_.push_back(page);
    }
    if (!models_pages_.empty()) {
        models_timer_.start(std::chrono::milliseconds(1), [this] { write_models(); });
    }
    if (ends || page->in_lines) {
        std::string text = std::exchange(page->text, {});
        const std::string next = "\"next\":" + (page->more ? "\"" + page->last + "\"" : "null");
        page->done(outcome::ok(), page->in_lines ? page_part{ends ? next : "\"more\":true", std::move(text), ends}
                                                 : page_part{"\"models\":[" + text + "]," + next, {}});
    }
}


void gateway_server::take_metrics(const session_ptr &from, const json_t *message)
{
    const bool is_heard = from->unsent() < most_unsent_bytes;
    json_writer metered;
    metered.begin_object()
        .name("type")
        .text(frame_name(rolloutd_frame::metered))
        .name("id")
        .number(json_count(message, "id"));
    metered.name("text").text(is_heard ? metrics() : "").end_object();
    send(from, metered.take());
}


void gateway_server::read_pages()
{
    while (pages_under_way_ < most_pages && !pages_.empty()) {
        const auto asked = std::make_shared<page_question>(std::move(pages_.front()));
        pages_.pop_front();
        if (asked->by.expired()) {
            continue;
        }
        ++pages_under_way_;
        asked->read([this, asked](const outcome &ended, const page_part &part) { send_page(*asked, ended, part); });
    }
}


void gateway_server::send_page(page_question &asked, const outcome &ended, const page_part &part)
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
            --open->questions;
        }
        if (!asked.is_refused || part.is_last) {
            const auto members =
                "\"id\":" + std::to_string(asked.id) + "," + (asked.is_refused ? asked.none : part.members);
            send(open, message_text(asked.type, members) + (asked.is_refused ? "" : part.lines));
        }
    }
    if (part.is_last) {
        --pages_under_way_;
        read_pages();
    }
}

} // namespace rollout
