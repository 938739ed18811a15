// Documents and problems on their way out: headers and body of an answer.
#pragma once

#include "module/api/problem.hpp"
#include "module/nginx/body_pieces.hpp"
#include "module/nginx/ngx.hpp"
#include "module/nginx/request_turns.hpp"
#include "module/tables/served_document.hpp"

#include <cstdint>

namespace rollout {

/// Sends a problem as the request's answer. The result is for ngx_http_finalize_request.
ngx_int_t send_problem(ngx_http_request_t *r, const problem &what) noexcept;

/// Sends a task's document in that form, with that ETag: copies of both.
ngx_int_t send_task(ngx_http_request_t *r, ngx_uint_t status, const task_record &task, std::string_view etag,
                    const document_form &form) noexcept;

/// Sends the parts one after the other, as content of that type that is not to be cached; what the
/// request's preconditions are about, although it has no ETag.
ngx_int_t send_text(ngx_http_request_t *r, std::string_view type,
                    std::initializer_list<std::string_view> parts) noexcept;

/// A long answer, in the request's pool: its body, which is sent a piece in each turn of the event loop.
struct long_answer {
    body_pieces body;
    request_turns turns;
};

/// The same with a body that may be long. Of a request that is held (its count is one up for that), as long as the result is NGX_DONE;
/// else the result is for ngx_http_finalize_request.
ngx_int_t send_long(ngx_http_request_t *r, std::string_view type, long_answer &what) noexcept;

/// Sends an answer without content (204).
ngx_int_t send_nothing(ngx_http_request_t *r) noexcept;

/// Sends JSON that is no task and no problem.
ngx_int_t send_json(ngx_http_request_t *r, std::string_view body) noexcept;

/// Adds a header to the answer; the name is a literal, the value is copied. False when memory is out.
bool add_header(ngx_http_request_t *r, std::string_view name, std::string_view value) noexcept;

/// Visits the request's headers in the order in which they came; `visit(name, value)` returns false to end it.
template <class Visit>
void each_header(const ngx_http_request_t *r, Visit visit) noexcept
{
    for (const ngx_list_part_t *part = &r->headers_in.headers.part; part != nullptr; part = part->next) {
        const auto *headers = static_cast<const ngx_table_elt_t *>(part->elts);
        for (ngx_uint_t i = 0; i < part->nelts; ++i) {
            if (!visit(view_of(headers[i].key), view_of(headers[i].value))) {
                return;
            }
        }
    }
}

/// The first request header of that name, compared without case; null data where there is none.
ngx_str_t find_header(ngx_http_request_t *r, std::string_view name) noexcept;

/// What the preconditions of a request come to (RFC 9110, section 13) for a document with that ETag; empty: it has none. The dates
/// do not count, since no document here has one.
enum class condition : std::uint8_t {
    met,
    not_modified, ///< of a GET or HEAD: the client has it
    failed,
};

condition condition_of(const ngx_http_request_t *r, std::string_view etag) noexcept;

/// Does the request's If-None-Match name that ETag?
bool matches_etag(const ngx_http_request_t *r, std::string_view etag) noexcept;

/// A body in the pool becomes the answer's content: type and length set. Null when memory is out.
ngx_chain_t *make_body(ngx_http_request_t *r, std::string_view type,
                       std::initializer_list<std::string_view> parts) noexcept;

} // namespace rollout
