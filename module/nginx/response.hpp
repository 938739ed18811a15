// Sends documents and problems: the headers and the body of an answer.
#pragma once

#include "module/api/problem.hpp"
#include "module/nginx/body_pieces.hpp"
#include "module/nginx/ngx.hpp"
#include "module/nginx/request_turns.hpp"
#include "module/tables/served_document.hpp"

#include <cstdint>
#include <optional>

namespace rollout {

/// Sends a problem as the request's answer. The result is for ngx_http_finalize_request.
ngx_int_t send_problem(ngx_http_request_t *r, const problem &what) noexcept;

/// Sends copies of a task's document, in that form, and of its ETag.
ngx_int_t send_task(ngx_http_request_t *r, ngx_uint_t status, const task_record &task, std::string_view etag,
                    const document_form &form) noexcept;

/// Sends the parts one after the other, as content of that type with that ETag, which caches must ask for each time.
/// The request's preconditions are checked.
ngx_int_t send_document(ngx_http_request_t *r, std::string_view type, std::string_view etag,
                        std::initializer_list<std::string_view> parts) noexcept;

/// Sends the parts one after the other, as content of that type that must not be cached. The request's preconditions
/// are checked, although the content has no ETag.
ngx_int_t send_text(ngx_http_request_t *r, std::string_view type,
                    std::initializer_list<std::string_view> parts) noexcept;

/// A long answer, in the request's pool: one piece of its body is sent in each turn of the event loop.
struct long_answer {
    body_pieces body;
    request_turns turns;
};

/// The same with a body that may be long. The request must be held (its count is one higher for that) while the
/// result is NGX_DONE; any other result is for ngx_http_finalize_request.
ngx_int_t send_long(ngx_http_request_t *r, std::string_view type, long_answer &what) noexcept;

/// A file that is part of the program, and so lives as long as it, in both forms in which it is sent.
struct embedded_file {
    std::string_view type;
    std::string_view hash; ///< changes with the content
    std::string_view plain;
    std::string_view gzip;
};

/// Sends a file with an ETag, for caches that ask each time. It goes compressed if the client accepts that, and nginx's
/// gzip_proxied and gzip_disable do not forbid it.
ngx_int_t send_file(ngx_http_request_t *r, const embedded_file &file) noexcept;
/// Sends the headers of server-sent events, which neither nginx nor a proxy in front of it is to gather or compress.
/// Returns nothing if the events follow, else the end of the answer.
std::optional<ngx_int_t> begin_events(ngx_http_request_t *r) noexcept;

/// Sends an answer without content (204).
ngx_int_t send_nothing(ngx_http_request_t *r) noexcept;

/// Sends JSON that is neither a task nor a problem.
ngx_int_t send_json(ngx_http_request_t *r, std::string_view body) noexcept;

/// Adds a header to the answer; the name must be a literal, the value is copied. Returns false if out of memory.
bool add_header(ngx_http_request_t *r, std::string_view name, std::string_view value) noexcept;

/// Visits the request's headers in their order; `visit(name, value)` returns false to stop.
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

/// Returns the first request header of that name, ignoring case; null data if there is none.
ngx_str_t find_header(ngx_http_request_t *r, std::string_view name) noexcept;

/// The result of a request's preconditions (RFC 9110, section 13) for a document with that ETag; an empty ETag means
/// that it has none. Dates are ignored, since no document here has one.
enum class condition : std::uint8_t {
    met,
    not_modified, ///< for a GET or HEAD: the client has the document
    failed,
};

condition condition_of(const ngx_http_request_t *r, std::string_view etag) noexcept;

/// Returns whether the request's If-None-Match names that ETag.
bool matches_etag(const ngx_http_request_t *r, std::string_view etag) noexcept;

/// Makes a body in the pool the content of the answer: sets its type and length. Returns null if out of memory.
ngx_chain_t *make_body(ngx_http_request_t *r, std::string_view type,
                       std::initializer_list<std::string_view> parts) noexcept;

} // namespace rollout
