// Documents and problems on their way out: headers and body of an answer.
#pragma once

#include "common/task.hpp"
#include "module/ngx.hpp"
#include "module/problem.hpp"
#include "module/task_table.hpp"

#include <array>

namespace rollout {

/// Sends a problem as the request's answer. The result is for ngx_http_finalize_request.
ngx_int_t send_problem(ngx_http_request_t *r, const problem &what) noexcept;

/// Sends a task's document, in that dialect, with its ETag: a copy of it.
ngx_int_t send_task(ngx_http_request_t *r, ngx_uint_t status, const task_record &task, dialect words) noexcept;

/// Sends the parts one after the other, as content of that type that is not to be cached.
ngx_int_t send_text(ngx_http_request_t *r, std::string_view type,
                    std::initializer_list<std::string_view> parts) noexcept;

/// Sends JSON that is no task and no problem.
ngx_int_t send_json(ngx_http_request_t *r, std::string_view body) noexcept;

/// Adds a header to the answer; the name is a literal, the value is copied. False when memory is out.
bool add_header(ngx_http_request_t *r, std::string_view name, std::string_view value) noexcept;

/// The first request header of that name, compared without case; null data where there is none.
ngx_str_t find_header(ngx_http_request_t *r, std::string_view name) noexcept;

/// The ETag of a task in that state, quotes included.
struct etag_text {
    std::array<u_char, sizeof("\"12345678-\"") + NGX_INT64_LEN> bytes;
    std::size_t size;

    std::string_view view() const noexcept { return {reinterpret_cast<const char *>(bytes.data()), size}; }
};

etag_text etag_of(ngx_http_request_t *r, const task_record &task) noexcept;

/// Does the request's If-None-Match name that ETag? Weakly compared (RFC 9110, section 13.1.2).
bool matches_etag(ngx_http_request_t *r, std::string_view etag) noexcept;

/// A body in the pool becomes the answer's content: type and length set. Null when memory is out.
ngx_chain_t *make_body(ngx_http_request_t *r, std::string_view type,
                       std::initializer_list<std::string_view> parts) noexcept;

} // namespace rollout
