#include "module/handlers/problem_filter.hpp"

#include "module/configuration.hpp"
#include "module/nginx/guard.hpp"
#include "module/nginx/response.hpp"

#include <string>

namespace rollout {

namespace {

ngx_http_output_header_filter_pt header_filter_after_problems;
ngx_http_output_body_filter_pt body_filter_after_problems;

/// The body that replaces nginx's page.
struct replacement {
    ngx_chain_t *body;
    bool sent;
};

/// Marks the pool's cleanup that holds a replacement: the module's context of a request belongs to its handlers.
void mark(void *) {}


replacement *replacement_of(ngx_http_request_t *r) noexcept
{
    return find_in_pool<replacement>(r->pool, mark);
}


std::string detail_of(ngx_uint_t status)
{
    switch (status) {
    case NGX_HTTP_REQUEST_ENTITY_TOO_LARGE:
        return "The body is larger than the gateway accepts (client_max_body_size).";
    case NGX_HTTP_UNAUTHORIZED:
        return "The gateway asks for credentials.";
    case NGX_HTTP_FORBIDDEN:
        return "The gateway does not allow this client to do that.";
    case NGX_HTTP_TOO_MANY_REQUESTS:
        return "The gateway's rate limit is exceeded; try again later.";
    case NGX_HTTP_SERVICE_UNAVAILABLE:
        return "The gateway refuses the request for now (a limit of requests or connections); try again later.";
    default:
        return "The gateway refused the request before it reached the API.";
    }
}


/// Of nginx's own errors in a location with rollout_json_model, only a body that is too large is about the content of
/// the request.
bool has_problems(ngx_http_request_t *r) noexcept
{
    const auto &location = location_of(r);
    return location.api ||
           (location.name_at == name_source::json && r->headers_out.status == NGX_HTTP_REQUEST_ENTITY_TOO_LARGE);
}


/// Returns whether this is a page of nginx's own, sent from a location with rollout_api or rollout_json_model.
bool is_nginx_page(ngx_http_request_t *r) noexcept
{
    return r == r->main && r->headers_out.status >= NGX_HTTP_BAD_REQUEST && has_problems(r) &&
           view_of(r->headers_out.content_type) == "text/html";
}


ngx_int_t problem_header_filter(ngx_http_request_t *r)
{
    if (!is_nginx_page(r)) {
        return header_filter_after_problems(r);
    }
    const ngx_int_t rc = guarded(r->connection->log, ngx_int_t{NGX_ERROR}, [r]() -> ngx_int_t {
        problem answer;
        answer.status = static_cast<int>(r->headers_out.status);
        answer.detail = detail_of(r->headers_out.status);
        ngx_pool_cleanup_t *cleanup = ngx_pool_cleanup_add(r->pool, sizeof(replacement));
        ngx_chain_t *body = make_body(r, "application/problem+json", {answer.to_json()});
        if (cleanup == nullptr || body == nullptr) {
            return NGX_ERROR;
        }
        cleanup->handler = mark;
        *static_cast<replacement *>(cleanup->data) = {body, false};
        return NGX_OK;
    });
    return rc == NGX_OK ? header_filter_after_problems(r) : rc;
}


ngx_int_t problem_body_filter(ngx_http_request_t *r, ngx_chain_t *in)
{
    if (in == nullptr || r != r->main || r->headers_out.status < NGX_HTTP_BAD_REQUEST || !has_problems(r)) {
        return body_filter_after_problems(r, in);
    }
    replacement *instead = replacement_of(r);
    if (instead == nullptr) {
        return body_filter_after_problems(r, in);
    }
    for (ngx_chain_t *link = in; link != nullptr; link = link->next) {
        link->buf->pos = link->buf->last;
        link->buf->file_pos = link->buf->file_last;
    }
    if (instead->sent) {
        return NGX_OK;
    }
    instead->sent = true;
    return body_filter_after_problems(r, instead->body);
}

} // namespace


void install_error_filter() noexcept
{
    header_filter_after_problems = ngx_http_top_header_filter;
    ngx_http_top_header_filter = problem_header_filter;
    body_filter_after_problems = ngx_http_top_body_filter;
    ngx_http_top_body_filter = problem_body_filter;
}

} // namespace rollout
