// The lists that a gateway asks for: pages of tasks and of models, each within one frame.
#include "common/frame.hpp"
#include "common/json_writer.hpp"
#include "common/limits.hpp"
#include "common/names.hpp"
#include "worker/gateway_server.hpp"
#include "worker/gateway_session.hpp"
#include "worker/log.hpp"
#include "worker/words.hpp"

#include <algorithm>

namespace rollout {

namespace {

/// Pages that are read at a time: each may take most of a frame.
constexpr std::size_t most_pages = 4;

/// A link that has so much to be sent gets no page on top.
constexpr std::size_t most_unsent_bytes = 8 * 1024 * 1024;


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


std::string page_of(const std::vector<task_row> &rows, bool more)
{
    std::string text = "\"tasks\":[";
    for (const auto &row : rows) {
        text += (&row == &rows.front() ? "" : ",") + row.document;
    }
    return text + "],\"next\":" + (more ? std::to_string(rows.back().sequence) : "null");
}


std::string page_of(const std::vector<model> &models, bool more,
                    const std::function<std::vector<lost_revision>(const std::string &)> &losses_of,
                    const std::function<std::vector<std::string>(const std::string &, std::size_t)> &tasks_of)
{
    std::string text = "\"models\":[";
    std::string last;
    for (const auto &one : models) {
        const auto entry =
            json_compact(listed(one, losses_of(one.model_id), tasks_of(one.model_id, most_tasks)).get());
        if (!last.empty() && text.size() + entry.size() > limits::page_bytes) {
            more = true;
            break;
        }
        text += (last.empty() ? "" : ",") + entry;
        last = one.model_id;
    }
    return text + "],\"next\":" + (more ? "\"" + last + "\"" : "null");
}

} // namespace


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
    pages_.push_back({from, json_count(message, "id"), "listed", "\"tasks\":null,\"next\":null",
                      [this, which, limit](const page_fn &done) {
                          journal_.list(which, limit, limits::page_bytes,
                                        [done](const outcome &ended, const std::vector<task_row> &rows, bool more) {
                                            done(ended, ended ? page_of(rows, more) : "");
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
    pages_.push_back({from, json_count(message, "id"), "listed_models", "\"models\":null,\"next\":null",
                      [this, after, limit](const page_fn &done) {
                          journal_.list_models(
                              after, limit,
                              [this, done](const outcome &ended, const std::vector<model> &models, bool more) {
                                  done(ended, ended ? page_of(models, more, losses_of, tasks_of) : "");
                              });
                      }});
    read_pages();
}


void gateway_server::take_metrics(const session_ptr &from, const json_t *message)
{
    const bool is_heard = from->unsent() < most_unsent_bytes;
    json_writer metered;
    metered.begin_object().name("type").text("metered").name("id").number(json_count(message, "id"));
    metered.name("text").text(is_heard ? metrics() : "").end_object();
    send(from, metered.take());
}


void gateway_server::read_pages()
{
    while (pages_under_way_ < most_pages && !pages_.empty()) {
        const page_question asked = std::move(pages_.front());
        pages_.pop_front();
        if (asked.by.expired()) {
            continue;
        }
        ++pages_under_way_;
        asked.read([this, by = asked.by, id = asked.id, type = asked.type,
                    none = asked.none](const outcome &ended, const std::string &page) {
            --pages_under_way_;
            if (!ended) {
                log(log_level::error, "A list could not be read: " + ended.detail);
            }
            if (const auto open = by.lock(); open && !open->closed()) {
                --open->questions;
                const bool there = ended && open->unsent() < most_unsent_bytes;
                send(open, std::string("{\"type\":\"") + type + "\",\"id\":" + std::to_string(id) + "," +
                               (there ? page : none) + "}");
            }
            read_pages();
        });
    }
}

} // namespace rollout
