#include "module/handlers/api_handler.hpp"

#include "module/api/api_description.hpp"
#include "module/api/query.hpp"
#include "module/api/request_origin.hpp"
#include "module/configuration.hpp"
#include "module/handlers/event_stream.hpp"
#include "module/handlers/pending_request.hpp"
#include "module/handlers/task_list.hpp"
#include "module/handlers/task_read.hpp"
#include "module/handlers/task_series.hpp"
#include "module/handlers/task_submit.hpp"
#include "module/handlers/task_verb.hpp"
#include "module/link/process_link.hpp"
#include "module/link/worker_link.hpp"
#include "module/nginx/guard.hpp"
#include "module/nginx/request_body.hpp"
#include "module/zone/shared_zone.hpp"

#include <array>
#include <cinttypes>
#include <cstdio>
#include <string_view>

namespace rollout {

namespace {

/// Answers whether the gateway is ready: linked to rolloutd, and with complete routes and tasks.
ngx_int_t answer_readiness(ngx_http_request_t *r)
{
    const shared_zone &zone = *main_of(r).zone;
    const auto *link = link_of_process();
    if (link == nullptr || !link->up()) {
        return send_problem(
            r,
            away(link != nullptr && link->denied()
                     ? "nginx may not connect to rolloutd's socket; nginx's error log says what to do. The gateway "
                       "keeps routing and serving reads from its last known state, and accepts no new tasks."
                 : link != nullptr && !link->refusal().empty()
                     ? "rolloutd does not serve this gateway: " + link->refusal() +
                           ". The gateway keeps routing and serving reads from its last known state, and accepts no "
                           "new tasks."
                     : "rolloutd is down: the gateway keeps routing and serving reads from its last known state, "
                       "and accepts no new tasks. Check that rolloutd runs."));
    }
    if (!zone.routes_known()) {
        return send_problem(r, away("The gateway has not yet received the models from rolloutd."));
    }
    if (!zone.routes_may_be_used(ngx_current_msec)) {
        return send_problem(r, away(std::string(outdated_routes)));
    }
    if (!zone.tasks_brought()) {
        return send_problem(r, away("The gateway is still receiving the tasks from rolloutd."));
    }
    if (!link->trouble().empty()) {
        return send_problem(r, away(link->trouble()));
    }
    return send_json(r, R"({"status":"ready"})");
}


/// Returns the methods that a route accepts.
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
    case api_route::shape::series:
    case api_route::shape::models:
    case api_route::shape::health:
    case api_route::shape::readiness:
    case api_route::shape::events:
    case api_route::shape::task_events:
    case api_route::shape::description:
        return reading;
    }
    return 0;
}


/// Returns them as the value of the header Allow.
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
    const bool of_events = route.is == api_route::shape::events || route.is == api_route::shape::task_events;
    const bool describes = route.is == api_route::shape::description;
    const bool of_tasks = route.is == api_route::shape::task || route.is == api_route::shape::latest;
    problem answer;
    answer.status = 405;
    answer.detail = collection                             ? "Tasks are created with POST, and listed with GET."
                    : steers                               ? "A verb is sent to a task with POST."
                    : of_tasks                             ? "Tasks are read with GET."
                    : of_events                            ? "Events are read with GET."
                    : route.is == api_route::shape::series ? "A series is read with GET."
                    : route.is == api_route::shape::models ? "Models are listed with GET."
                    : describes                            ? "The API's description is read with GET."
                                                           : "The gateway's state is read with GET.";
    return send_problem(r, answer);
}


/// Returns the request's name for the gateway: the host of a URI in absolute form, or the header Host (RFC 9112,
/// section 3.2.2).
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


/// Returns whether a browser sends the request for a page of another site. Programs send neither header.
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


/// Returns whether the URI has a slash written as `%2F`. It would be a character of a name, which no name may have,
/// and nginx has decoded it by now.
bool has_escaped_slash(const ngx_http_request_t *r) noexcept
{
    const auto path = view_of(r->unparsed_uri).substr(0, view_of(r->unparsed_uri).find('?'));
    return path.find("%2F") != std::string_view::npos || path.find("%2f") != std::string_view::npos;
}


/// Answers a request whose body is not needed.
ngx_int_t refuse_unread(ngx_http_request_t *r, const problem &why)
{
    if (const ngx_int_t rc = ngx_http_discard_request_body(r); rc != NGX_OK) {
        return rc;
    }
    return send_problem(r, why);
}


/// Returns a problem with a detail if the request has arguments. Its route takes none.
problem refuse_arguments(const ngx_http_request_t *r)
{
    return r->args.len == 0 ? problem{} : check_query(read_query(view_of(r->args)), {});
}


/// Sends the API's description with the base and the words of this location.
ngx_int_t answer_description(ngx_http_request_t *r)
{
    const auto &location = location_of(r);
    const auto description = describe_api(view_of(location.base), location.documents.words);
    std::array<char, 20> etag{};
    const auto length = std::snprintf(etag.data(), etag.size(), "\"%016" PRIx64 "\"", description.hash);
    const auto pieces = description.pieces();
    return send_document(r, "application/json", {etag.data(), static_cast<std::size_t>(length)},
                         {pieces[0], pieces[1], pieces[2], pieces[3], pieces[4]});
}


ngx_int_t read(pending_request &request)
{
    ngx_http_request_t *r = request.r;
    if (const ngx_int_t rc = ngx_http_discard_request_body(r); rc != NGX_OK) {
        return rc;
    }
    switch (request.route.is) {
    case api_route::shape::collection:
    case api_route::shape::models:
        return list(request);
    case api_route::shape::events:
    case api_route::shape::task_events:
        return stream_events(request);
    case api_route::shape::series:
    case api_route::shape::health:
    case api_route::shape::readiness:
    case api_route::shape::description:
        if (const auto fault = refuse_arguments(r); !fault.detail.empty()) {
            return send_problem(r, fault);
        }
        if (request.route.is == api_route::shape::series) {
            return read_series(request);
        }
        return request.route.is == api_route::shape::health      ? send_json(r, R"({"status":"ok"})")
               : request.route.is == api_route::shape::readiness ? answer_readiness(r)
                                                                 : answer_description(r);
    default:
        break;
    }
    if (r->args.len != 0) { // most reads have none
        if (const auto fault = read_wait_argument(r, request.wants); !fault.detail.empty()) {
            return send_problem(r, fault);
        }
    }
    if (request.wants.wait) {
        request.wait_until = ngx_current_msec + *request.wants.wait * 1000;
    }
    return read_task(request);
}


void on_body(ngx_http_request_t *r)
{
    auto &request = *static_cast<pending_request *>(ngx_http_get_module_ctx(r, ngx_http_rollout_module));
    const ngx_int_t rc =
        guarded(r, [&] { return request.route.is == api_route::shape::steer ? steer(request) : submit(request); });
    if (rc != NGX_DONE) {
        ngx_http_finalize_request(r, rc);
    }
}


ngx_int_t write(pending_request &request)
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


ngx_int_t answer_api_request(ngx_http_request_t *r)
{
    const auto &location = location_of(r);
    auto uri = view_of(r->uri);
    const auto base = view_of(location.base);

    auto *request = make_in_pool<pending_request>(r->pool);
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
            "not change anything here. A program leaves both headers out; a proxy in front of the gateway must pass "
            "Host on.";
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
    return guarded(r, [r] { return answer_api_request(r); });
}

} // namespace rollout
