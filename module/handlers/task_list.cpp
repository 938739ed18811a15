#include "module/handlers/task_list.hpp"

#include "common/base/text.hpp"
#include "common/domain/identifiers.hpp"
#include "common/domain/limits.hpp"
#include "module/api/query.hpp"
#include "module/configuration.hpp"
#include "module/link/worker_link.hpp"

#include <array>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace rollout {

namespace {

using query_arguments = std::vector<query_argument>;

constexpr char token_rule[] = "must be the next_page_token of the previous page";


/// Reads `limit`. Returns a problem with a detail if it cannot be used.
problem read_limit(const query_arguments &query, unsigned &limit)
{
    limit = limits::page_default;
    if (const auto given = find_argument(query, "limit")) {
        if (!read_number(*given, limit) || limit < 1 || limit > limits::page_most) {
            return unusable_argument("limit",
                                     "must be a whole number from 1 to " + std::to_string(limits::page_most));
        }
    }
    return {};
}


/// Checks that there are no other arguments and each is given once, and reads `limit`. Returns a problem with a
/// detail if an argument cannot be used.
problem check_arguments(const query_arguments &query, std::span<const std::string_view> known, unsigned &limit)
{
    auto fault = check_query(query, known);
    return fault.detail.empty() ? read_limit(query, limit) : fault;
}


/// Reads which page of models is requested, as views into the query. Returns a problem with a detail if an argument
/// cannot be used.
problem read_page(const query_arguments &query, model_page &page)
{
    constexpr std::array<std::string_view, 2> known = {"limit", "page_token"};
    if (auto fault = check_arguments(query, known, page.limit); !fault.detail.empty()) {
        return fault;
    }
    const auto token = find_argument(query, "page_token");
    if (token && !is_model_id(*token)) {
        return unusable_argument("page_token", token_rule);
    }
    page.after = token.value_or(std::string_view());
    return {};
}


/// The same for a page of tasks.
problem read_page(const query_arguments &query, dialect words, task_page &page)
{
    constexpr std::array<std::string_view, 4> known = {"limit", "page_token", "model_id", "status"};
    if (auto fault = check_arguments(query, known, page.limit); !fault.detail.empty()) {
        return fault;
    }
    if (const auto token = find_argument(query, "page_token")) {
        std::uint64_t before = 0;
        if (!read_number(*token, before) || before == 0 || before > INT64_MAX) {
            return unusable_argument("page_token", token_rule);
        }
        page.before = before;
    }
    page.model_id = find_argument(query, "model_id");
    if (page.model_id && !is_model_id(*page.model_id)) {
        return unusable_argument("model_id", "must be a model's id");
    }
    if (const auto given = find_argument(query, "status")) {
        page.status = status_from(*given, words);
        if (!page.status) {
            return unusable_argument("status", "must be one of pending, " +
                                                   std::string(status_name(task_status::in_progress, words)) + ", " +
                                                   std::string(status_name(task_status::completed, words)) +
                                                   ", failed, refused and canceled");
        }
    }
    return {};
}


bool is_of_models(const pending_request &request) noexcept
{
    return request.route.is == api_route::shape::models;
}


/// Returns the beginning of the page, before its documents.
std::string_view page_opening(const pending_request &request) noexcept
{
    return is_of_models(request) ? R"({"models":[)" : R"({"tasks":[)";
}


/// Adds a document to the page, as the client reads it.
void add_document(pending_request &request, std::string_view document, const task_record *task) noexcept
{
    const auto add = [&request](std::string_view text) { request.page->body.append(request.r->pool, text); };
    add(request.page->body.empty() ? page_opening(request) : ",");
    if (task == nullptr) {
        add(document);
        return;
    }
    for (const auto piece : serve_document(*task, location_of(request.r).documents)) {
        add(piece);
    }
}


void on_document(link_call &call, std::string_view document, const task_record *task)
{
    add_document(*static_cast<pending_request *>(call.asker), document, task);
}


/// Adds the documents that are in the frame itself, as some versions of rolloutd send them. Returns false if it has
/// no page.
bool add_members(pending_request &request, const json_t *message)
{
    const json_t *all = json_object_get(message, is_of_models(request) ? "models" : "tasks");
    const auto form = is_of_models(request) ? document_form() : location_of(request.r).documents;
    for (std::size_t i = 0; i < json_array_size(all); ++i) {
        json_t *document = json_array_get(all, i);
        const auto status = status_from(json_text(document, "status"));
        if (form.words != dialect::standard && status) {
            json_put(document, "status", status_name(*status, form.words));
        }
        if (!form.identity) {
            json_object_del(document, "created_by");
        }
        add_document(request, json_compact(document), nullptr);
    }
    return all == nullptr || json_is_array(all);
}


/// Writes the end of the page, after its documents.
void end_page(pending_request &request, const json_t *message)
{
    const json_t *next = json_object_get(message, "next");
    const json_ptr token = json_is_integer(next)  ? json_make(std::to_string(json_integer_value(next)))
                           : json_is_string(next) ? json_make(json_text(next))
                                                  : json_ptr(json_null());
    auto &body = request.page->body;
    if (body.empty()) {
        body.append(request.r->pool, page_opening(request));
    }
    body.append(request.r->pool, R"(],"next_page_token":)" + json_compact(token.get()) + "}");
}


void on_page(link_call &call, link_result result, const task_record *, const json_t *message)
{
    auto &request = *static_cast<pending_request *>(call.asker);
    resume(request, [&] {
        if (result != link_result::page || !add_members(request, message)) {
            return send_problem(request.r, away("rolloutd did not answer with the list; try again."));
        }
        end_page(request, message);
        return send_long(request.r, "application/json", *request.page);
    });
}

} // namespace


ngx_int_t list(pending_request &request)
{
    ngx_http_request_t *r = request.r;
    const auto query = read_query(view_of(r->args));
    model_page models;
    task_page tasks;
    tasks.kind = request.route.kind;
    if (const auto fault = is_of_models(request) ? read_page(query, models)
                                                 : read_page(query, location_of(r).documents.words, tasks);
        !fault.detail.empty()) {
        return send_problem(r, fault);
    }
    return ask_for_documents(request, on_page, on_document, "the list", [&](worker_link &to) {
        return is_of_models(request) ? to.list(request.call, models) : to.list(request.call, tasks);
    });
}

} // namespace rollout
