#include "module/handlers/api_handler.hpp"

#include "common/domain/limits.hpp"
#include "common/domain/names.hpp"
#include "module/api/query.hpp"
#include "module/api/request_origin.hpp"
#include "module/api/task_request.hpp"
#include "module/configuration.hpp"
#include "module/handlers/pending_request.hpp"
#include "module/link/process_link.hpp"
#include "module/nginx/guard.hpp"
#include "module/nginx/request_body.hpp"
#include "module/nginx/requester_of.hpp"

#include <string>

namespace rollout {

namespace {

// Reading.

void on_looked_up(link_call &call, link_result result, const task_record *task, const json_t *)
{
    auto &request = *static_cast<api_request *>(call.asker);
    resume(request, [&] {
        switch (result) {
        case link_result::task:
            return answer_or_hold(request, *task);
        case link_result::none:
            return send_problem(request.r, not_found(request.route));
        default:
            return send_problem(request.r, away("rolloutd did not answer whether there is such a task; ask again."));
        }
    });
}


/// The task is not in the table, and the table does not hold all: rolloutd knows.
ngx_int_t ask_worker(api_request &request)
{
    ngx_http_request_t *r = request.r;
    const bool by_id = request.route.is == api_route::shape::task;
    request.call.done = on_looked_up;
    request.call.asker = &request;
    if (!suspend(request)) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    auto *link = link_of_process();
    const auto begun = link == nullptr ? link_result::lost
                                       : link->lookup(request.call, request.route.kind,
                                                      by_id ? request.route.name : std::string_view(),
                                                      by_id ? std::string_view() : request.route.name);
    if (begun != link_result::task) {
        return send_problem(r,
                            away(begun == link_result::full
                                     ? "Too many look-ups are under way; ask again."
                                     : "Whether there is such a task is not known: rolloutd is away and the gateway "
                                       "does not hold all tasks. Ask again when it is back."));
    }
    ++r->main->count;
    return NGX_DONE;
}


ngx_int_t read_task(api_request &request)
{
    ngx_http_request_t *r = request.r;
    const auto &route = request.route;
    const bool by_id = route.is == api_route::shape::task;
    if (!(by_id ? is_task_id(route.name) : is_model_id(route.name))) {
        return send_problem(r, not_found(route));
    }

    shared_zone &zone = *main_of(r).zone;
    const bool known = zone.tasks_known(); // before the look: what comes in between is found
    if (!by_id && !zone.tasks_filled()) {
        // A newer one may be on its way. With rolloutd away, what there is has to do.
        if (const auto *link = link_of_process(); link != nullptr && link->up()) {
            return ask_worker(request);
        }
    }
    task_record task;
    const auto found = read_records(zone, [&](record_store &records) {
        const auto allocate = [&request](std::size_t size) { return request.memory.take(request.r->pool, size); };
        const task_table table(records);
        return by_id ? table.by_id(route.kind, route.name, allocate, task)
                     : table.latest(route.kind, route.name, allocate, task);
    });
    if (found == record_store::found::busy) {
        return send_problem(r, away("The gateway's table is being repaired; ask again."));
    }
    if (found == record_store::found::failed) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }
    if (found == record_store::found::no) {
        // And after it: what went in between is not missing.
        return known && zone.tasks_known() ? send_problem(r, not_found(route)) : ask_worker(request);
    }
    const ngx_int_t rc = answer_or_hold(request, task);
    if (rc == NGX_DONE) {
        ++r->main->count;
    }
    return rc;
}


/// Is there anything that would make the gateway's answers, or its routes, less than they are with rolloutd beside it?
ngx_int_t answer_readiness(ngx_http_request_t *r)
{
    const shared_zone &zone = *main_of(r).zone;
    const auto *link = link_of_process();
    if (link == nullptr || !link->up()) {
        return send_problem(
            r, away(link != nullptr && link->denied()
                        ? "rolloutd's socket is closed to nginx; nginx's error log says what to do. The gateway "
                          "routes and answers by "
                          "what it knows, and takes no new tasks."
                        : "rolloutd is away: the gateway routes and answers by what it knows, and takes no new "
                          "tasks. Check that rolloutd runs."));
    }
    if (!zone.routes_known()) {
        return send_problem(r, away("The gateway has not heard from rolloutd yet which models there are."));
    }
    if (!zone.tasks_brought()) {
        return send_problem(r, away("The gateway is still being told which tasks there are."));
    }
    return send_json(r, R"({"status":"ready"})");
}


// Writing.

/// Why a submission was not confirmed, with what the client can do.
problem unconfirmed(const api_request &request, link_result result)
{
    problem answer;
    const std::string id(view_of(request.task_id));
    const std::string kind(kind_name(request.route.kind));
    answer.task_id = id;
    if (result == link_result::full) {
        answer.status = 429;
        answer.retry_after_s = retry_after_s;
        answer.detail = "Too many tasks are being submitted at once; nothing was created. Post again later.";
        return answer;
    }
    answer.status = 500;
    const auto *link = link_of_process();
    const std::string look_up =
        "look the task up with GET /" + kind + "/" + id + ", or post again with the same task_id.";
    answer.detail =
        result == link_result::late ? "rolloutd did not confirm the task in time; it may exist: " + look_up
        : link != nullptr && link->denied()
            ? "rolloutd's socket is closed to nginx, so the task could not be confirmed. nginx's error log says what "
              "to "
              "do (the socket's group, listen.allow_users); then " +
                  look_up
            : "rolloutd cannot be reached, so the task could not be confirmed. Check that rolloutd runs, then " +
                  look_up;
    return answer;
}


ngx_int_t answer_unconfirmed(api_request &request, link_result result)
{
    if (result != link_result::full) {
        log_unconfirmed(request,
                        "task " + std::string(view_of(request.task_id)) + " of model " +
                            std::string(view_of(request.model_id)),
                        result);
    }
    return send_problem(request.r, unconfirmed(request, result));
}


void on_submitted(link_call &call, link_result result, const task_record *task, const json_t *rejection)
{
    auto &request = *static_cast<api_request *>(call.asker);
    resume(request, [&] {
        switch (result) {
        case link_result::task:
            return answer_or_hold(request, *task);
        case link_result::rejected:
            return send_problem(request.r, rejection_of(rejection));
        default:
            return answer_unconfirmed(request, result);
        }
    });
}


/// The body is in. NGX_DONE: the answer comes later.
ngx_int_t submit(api_request &request)
{
    ngx_http_request_t *r = request.r;
    std::string body;
    if (const auto fault = read_body(r, body); !fault.detail.empty()) {
        return send_problem(r, fault);
    }
    const ngx_str_t key = find_header(r, "Idempotency-Key");
    auto parsed = parse_task_request(request.route.kind, body,
                                     key.data != nullptr ? std::optional(unquoted(view_of(key))) : std::nullopt);
    if (const auto *fault = std::get_if<problem>(&parsed)) {
        return send_problem(r, *fault);
    }

    const auto &wanted = std::get<task_request>(parsed);
    request.submitting = true;
    request.task_id = copy_to_pool(r->pool, wanted.task_id);
    request.model_id = copy_to_pool(r->pool, wanted.model_id);
    request.call.done = on_submitted;
    request.call.asker = &request;
    if (request.task_id.data == nullptr || request.model_id.data == nullptr || !suspend(request)) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }
    auto *link = link_of_process();
    const auto begun = link != nullptr ? link->submit(request.call, wanted, requester_of(r)) : link_result::lost;
    return begun == link_result::task ? NGX_DONE : answer_unconfirmed(request, begun);
}


void on_body(ngx_http_request_t *r)
{
    auto &request = *static_cast<api_request *>(ngx_http_get_module_ctx(r, ngx_http_rollout_module));
    const ngx_int_t rc =
        guarded(r, [&] { return request.route.is == api_route::shape::steer ? steer(request) : submit(request); });
    if (rc != NGX_DONE) {
        ngx_http_finalize_request(r, rc);
    }
}


/// The methods that a route takes.
ngx_uint_t methods_of(api_route::shape shape) noexcept
{
    constexpr ngx_uint_t reading = NGX_HTTP_GET | NGX_HTTP_HEAD;
    switch (shape) {
    case api_route::shape::unknown:
        return 0;
    case api_route::shape::collection:
        return reading | NGX_HTTP_POST;
    case api_route::shape::steer:
        return NGX_HTTP_POST;
    case api_route::shape::task:
    case api_route::shape::latest:
    case api_route::shape::models:
    case api_route::shape::health:
    case api_route::shape::readiness:
        return reading;
    }
    return 0;
}


/// As the header Allow has them.
std::string_view allowed_methods(api_route::shape shape) noexcept
{
    return shape == api_route::shape::collection ? "GET, HEAD, POST"
           : shape == api_route::shape::steer    ? "POST"
                                                 : "GET, HEAD";
}


ngx_int_t refuse_method(ngx_http_request_t *r, const api_route &route)
{
    const bool collection = route.is == api_route::shape::collection;
    const bool steers = route.is == api_route::shape::steer;
    const bool of_tasks = route.is == api_route::shape::task || route.is == api_route::shape::latest;
    problem answer;
    answer.status = 405;
    answer.detail = collection                             ? "Tasks are created with POST, and listed with GET."
                    : steers                               ? "A task is steered with POST."
                    : of_tasks                             ? "Tasks are read with GET."
                    : route.is == api_route::shape::models ? "Models are listed with GET."
                                                           : "The gateway's state is read with GET.";
    return send_problem(r, answer);
}


/// What the request calls the gateway: the host of a URI in absolute form, or of the header Host (RFC 9112, section 3.2.2).
std::string_view authority_of(const ngx_http_request_t *r) noexcept
{
    const u_char *line_end = r->request_line.data + r->request_line.len;
    if (r->host_start != nullptr && r->request_line.data <= r->host_start && r->host_start < line_end) {
        const std::string_view rest(reinterpret_cast<const char *>(r->host_start),
                                    static_cast<std::size_t>(line_end - r->host_start));
        return rest.substr(0, rest.find_first_of("/? \r\n"));
    }
    return r->headers_in.host != nullptr ? view_of(r->headers_in.host->value) : std::string_view();
}


bool is_encrypted([[maybe_unused]] const ngx_http_request_t *r) noexcept
{
#if (NGX_HTTP_SSL)
    return r->connection->ssl != nullptr;
#else
    return false;
#endif
}


/// Does a browser send it for another site's page? Programs send neither header.
bool is_from_another_site(const ngx_http_request_t *r) noexcept
{
    bool foreign = false;
    each_header(r, [&](std::string_view name, std::string_view value) {
        foreign = (same_word(name, "Origin") && !is_own_origin(value, authority_of(r), is_encrypted(r))) ||
                  (same_word(name, "Sec-Fetch-Site") && !is_own_site(value));
        return !foreign;
    });
    return foreign;
}


/// A slash that is written as `%2F` is a character of a name, and no name has one; nginx has decoded it by now.
bool has_escaped_slash(const ngx_http_request_t *r) noexcept
{
    const auto path = view_of(r->unparsed_uri).substr(0, view_of(r->unparsed_uri).find('?'));
    return path.find("%2F") != std::string_view::npos || path.find("%2f") != std::string_view::npos;
}


/// Answers a request whose body is not wanted.
ngx_int_t refuse_unread(ngx_http_request_t *r, const problem &why)
{
    if (const ngx_int_t rc = ngx_http_discard_request_body(r); rc != NGX_OK) {
        return rc;
    }
    return send_problem(r, why);
}


/// A problem with a detail when the request has arguments, of which its route takes none.
problem refuse_arguments(const ngx_http_request_t *r)
{
    return check_query(read_query(view_of(r->args)), {});
}


ngx_int_t read(api_request &request)
{
    ngx_http_request_t *r = request.r;
    if (const ngx_int_t rc = ngx_http_discard_request_body(r); rc != NGX_OK) {
        return rc;
    }
    switch (request.route.is) {
    case api_route::shape::collection:
    case api_route::shape::models:
        return list(request);
    case api_route::shape::health:
    case api_route::shape::readiness:
        if (const auto fault = refuse_arguments(r); !fault.detail.empty()) {
            return send_problem(r, fault);
        }
        return request.route.is == api_route::shape::health ? send_json(r, R"({"status":"ok"})")
                                                            : answer_readiness(r);
    default:
        break;
    }
    const auto fault = read_wait_argument(r, request.wants);
    if (!fault.detail.empty()) {
        return send_problem(r, fault);
    }
    if (request.wants.wait) {
        request.wait_until = ngx_current_msec + *request.wants.wait * 1000;
    }
    return read_task(request);
}


ngx_int_t write(api_request &request)
{
    ngx_http_request_t *r = request.r;
    auto fault = refuse_arguments(r);
    if (fault.detail.empty() && request.route.is == api_route::shape::collection) {
        fault = check_content(r);
    }
    if (!fault.detail.empty()) {
        return refuse_unread(r, fault);
    }
    read_prefer(r, request.wants);
    if (request.wants.wait) {
        request.wait_until = ngx_current_msec + *request.wants.wait * 1000;
    }
    const ngx_int_t rc = ngx_http_read_client_request_body(r, on_body);
    return rc >= NGX_HTTP_SPECIAL_RESPONSE ? rc : NGX_DONE;
}


ngx_int_t handle(ngx_http_request_t *r)
{
    const auto &location = location_of(r);
    auto uri = view_of(r->uri);
    const auto base = view_of(location.base);

    auto *request = make_in_pool<api_request>(r->pool);
    if (request == nullptr) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }
    request->r = r;
    ngx_http_set_ctx(r, request, ngx_http_rollout_module);

    if (r->method == NGX_HTTP_POST && is_from_another_site(r)) {
        problem answer;
        answer.status = 403;
        answer.detail =
            "A browser sent this for a page of another site (see the request's headers Origin and Sec-Fetch-Site), "
            "which may "
            "not change anything here. A program leaves both headers out; a proxy before the gateway passes Host on.";
        return refuse_unread(r, answer);
    }
    if (uri.starts_with(base) && !has_escaped_slash(r)) {
        request->route = route_of(uri.substr(base.size()));
    }
    const auto shape = request->route.is;
    if (shape == api_route::shape::unknown) {
        return refuse_unread(r, not_found(request->route));
    }
    if (!(r->method & methods_of(shape))) {
        if (!add_header(r, "Allow", allowed_methods(shape))) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
        if (const ngx_int_t rc = ngx_http_discard_request_body(r); rc != NGX_OK) {
            return rc;
        }
        return r->method == NGX_HTTP_OPTIONS ? send_nothing(r) : refuse_method(r, request->route);
    }
    return r->method == NGX_HTTP_POST ? write(*request) : read(*request);
}

} // namespace


ngx_int_t handle_api(ngx_http_request_t *r) noexcept
{
    return guarded(r, [r] { return handle(r); });
}

} // namespace rollout
