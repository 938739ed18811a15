#include "module/nginx/response.hpp"

#include "module/api/etag_list.hpp"
#include "module/nginx/guard.hpp"

#include <optional>
#include <string>

namespace rollout {

namespace {

/// nginx 1.23 links headers of the same name; earlier versions have nothing to set.
template <class Header>
void end_chain(Header *header) noexcept
{
    if constexpr (requires { header->next; }) {
        header->next = nullptr;
    }
}


ngx_table_elt_t *push_header(ngx_http_request_t *r, std::string_view name, ngx_str_t value) noexcept
{
    auto *header = static_cast<ngx_table_elt_t *>(ngx_list_push(&r->headers_out.headers));
    if (header != nullptr) {
        header->hash = 1;
        header->key = str_of(name);
        header->value = value;
        header->lowcase_key = nullptr;
        end_chain(header);
    }
    return header;
}


void set_content(ngx_http_request_t *r, std::string_view type, std::size_t size) noexcept
{
    r->headers_out.content_type = str_of(type);
    r->headers_out.content_type_len = type.size();
    r->headers_out.content_type_lowcase = nullptr;
    r->headers_out.content_length_n = static_cast<off_t>(size);
}


ngx_int_t send_body(ngx_http_request_t *r, ngx_uint_t status, ngx_chain_t *body) noexcept
{
    if (body == nullptr) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }
    r->headers_out.status = status;
    // nginx's own filter checks dates, which these documents do not have, and only one header.
    r->disable_not_modified = 1;
    const ngx_int_t rc = ngx_http_send_header(r);
    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }
    return ngx_http_output_filter(r, body);
}


ngx_int_t send_no_body(ngx_http_request_t *r, ngx_uint_t status) noexcept
{
    r->headers_out.status = status;
    r->disable_not_modified = 1;
    r->header_only = 1;
    ngx_http_clear_content_length(r);
    return ngx_http_send_header(r);
}


ngx_int_t send_not_modified(ngx_http_request_t *r) noexcept
{
    return send_no_body(r, NGX_HTTP_NOT_MODIFIED);
}


ngx_int_t send_failed_condition(ngx_http_request_t *r) noexcept
{
    return guarded(r, [r] {
        problem answer;
        answer.status = NGX_HTTP_PRECONDITION_FAILED;
        answer.detail = "The document has changed since the version that If-Match names; read it again.";
        return send_problem(r, answer);
    });
}


/// Returns whether `is` holds for one of the request's headers of that name.
template <class Is>
bool any_header(const ngx_http_request_t *r, std::string_view name, Is is) noexcept
{
    bool found = false;
    each_header(r, [&](std::string_view key, std::string_view value) {
        found = same_word(key, name) && is(value);
        return !found;
    });
    return found;
}


/// Returns the answer that the request's conditional headers require for a document with this ETag; nothing if the
/// body is to be sent.
std::optional<ngx_int_t> answer_by_condition(ngx_http_request_t *r, std::string_view etag) noexcept
{
    switch (condition_of(r, etag)) {
    case condition::failed:
        return send_failed_condition(r);
    case condition::not_modified:
        return send_not_modified(r);
    case condition::met:
        break;
    }
    return std::nullopt;
}


/// Sends the headers of content that must not be cached. Returns nothing if the content follows, else the end of the
/// answer. The request's preconditions are checked, although the content has no ETag.
std::optional<ngx_int_t> begin_uncached(ngx_http_request_t *r) noexcept
{
    if (!add_header(r, "Cache-Control", "no-cache")) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }
    return answer_by_condition(r, {});
}


/// Adds the headers of a document with that ETag. Returns false if out of memory.
bool add_document_headers(ngx_http_request_t *r, std::string_view etag) noexcept
{
    const ngx_str_t copy = copy_to_pool(r->pool, etag);
    if (copy.data == nullptr) {
        return false;
    }
    r->headers_out.etag = push_header(r, "ETag", copy);
    return r->headers_out.etag != nullptr && add_header(r, "Cache-Control", "no-cache");
}


/// Sends the next piece of a long answer.
std::optional<ngx_int_t> send_piece(request_turns &turns) noexcept
{
    auto &body = static_cast<long_answer *>(turns.work)->body;
    ngx_chain_t *piece = body.take();
    const bool ends = body.empty();
    piece->buf->last_buf = ends && turns.r == turns.r->main;
    piece->buf->last_in_chain = ends;
    // Data that the client does not accept yet stays in the request's output.
    const ngx_int_t rc = ngx_http_output_filter(turns.r, piece);
    return ends || rc == NGX_ERROR ? std::optional(rc) : std::nullopt;
}

/// Returns whether the answer goes compressed, and has caches know that this depends on the client; nothing if out of
/// memory.
std::optional<bool> begin_gzip(ngx_http_request_t *r) noexcept
{
#if (NGX_HTTP_GZIP)
    const auto *core =
        static_cast<const ngx_http_core_loc_conf_t *>(ngx_http_get_module_loc_conf(r, ngx_http_core_module));
    const bool accepted = ngx_http_gzip_ok(r) == NGX_OK;
    // With gzip_vary, nginx itself adds the header.
    r->gzip_vary = 1;
    if (!core->gzip_vary && !add_header(r, "Vary", "Accept-Encoding")) {
        return std::nullopt;
    }
    return accepted;
#else
    return false;
#endif
}


/// Returns a body of memory that nobody changes or frees; null if out of memory.
ngx_chain_t *body_of_constant(ngx_http_request_t *r, std::string_view text) noexcept
{
    auto *buffer = static_cast<ngx_buf_t *>(ngx_calloc_buf(r->pool));
    ngx_chain_t *chain = ngx_alloc_chain_link(r->pool);
    if (buffer == nullptr || chain == nullptr) {
        return nullptr;
    }
    const ngx_str_t bytes = str_of(text);
    buffer->pos = buffer->start = bytes.data;
    buffer->last = buffer->end = bytes.data + bytes.len;
    buffer->memory = 1;
    buffer->last_buf = r == r->main;
    buffer->last_in_chain = 1;
    *chain = {buffer, nullptr};
    return chain;
}

} // namespace


std::optional<ngx_int_t> begin_events(ngx_http_request_t *r) noexcept
{
    if (!add_header(r, "Cache-Control", "no-cache, no-transform") || !add_header(r, "X-Accel-Buffering", "no")) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }
    if (const auto end = answer_by_condition(r, {})) {
        return end;
    }
    set_content(r, "text/event-stream", 0);
    ngx_http_clear_content_length(r);
    ngx_http_clear_accept_ranges(r);
#if (NGX_HTTP_GZIP)
    // Compressed, events would stay in the compressor.
    r->gzip_tested = 1;
    r->gzip_ok = 0;
#endif
    r->headers_out.status = NGX_HTTP_OK;
    r->disable_not_modified = 1;
    const ngx_int_t rc = ngx_http_send_header(r);
    return rc == NGX_ERROR || rc > NGX_OK || r->header_only ? std::optional(rc) : std::nullopt;
}


ngx_int_t send_nothing(ngx_http_request_t *r) noexcept
{
    return send_no_body(r, NGX_HTTP_NO_CONTENT);
}


bool add_header(ngx_http_request_t *r, std::string_view name, std::string_view value) noexcept
{
    const ngx_str_t copy = copy_to_pool(r->pool, value);
    return copy.data != nullptr && push_header(r, name, copy) != nullptr;
}


ngx_str_t find_header(ngx_http_request_t *r, std::string_view name) noexcept
{
    ngx_str_t found{};
    each_header(r, [&](std::string_view key, std::string_view value) {
        if (same_word(key, name)) {
            found = str_of(value);
        }
        return found.data == nullptr;
    });
    return found;
}


ngx_chain_t *make_body(ngx_http_request_t *r, std::string_view type,
                       std::initializer_list<std::string_view> parts) noexcept
{
    std::size_t size = 0;
    for (const auto part : parts) {
        size += part.size();
    }
    ngx_buf_t *buffer = ngx_create_temp_buf(r->pool, size);
    ngx_chain_t *chain = ngx_alloc_chain_link(r->pool);
    if (buffer == nullptr || chain == nullptr) {
        return nullptr;
    }
    for (const auto part : parts) {
        buffer->last += part.copy(reinterpret_cast<char *>(buffer->last), part.size());
    }
    buffer->last_buf = r == r->main;
    buffer->last_in_chain = 1;
    *chain = {buffer, nullptr};

    set_content(r, type, size);
    return chain;
}


ngx_int_t send_problem(ngx_http_request_t *r, const problem &what) noexcept
{
    return guarded(r, [&]() -> ngx_int_t {
        const std::string body = what.to_json();
        // nginx has no reason phrase for 422.
        const ngx_str_t line =
            copy_to_pool(r->pool, std::to_string(what.status) + " " + std::string(status_title(what.status)));
        if (line.data == nullptr) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
        r->headers_out.status_line = line;
        if (what.retry_after_s != 0 && !add_header(r, "Retry-After", std::to_string(what.retry_after_s))) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
        return send_body(r, static_cast<ngx_uint_t>(what.status), make_body(r, "application/problem+json", {body}));
    });
}


ngx_int_t send_text(ngx_http_request_t *r, std::string_view type,
                    std::initializer_list<std::string_view> parts) noexcept
{
    const auto end = begin_uncached(r);
    return end ? *end : send_body(r, NGX_HTTP_OK, make_body(r, type, parts));
}


ngx_int_t send_document(ngx_http_request_t *r, std::string_view type, std::string_view etag,
                        std::initializer_list<std::string_view> parts) noexcept
{
    if (!add_document_headers(r, etag)) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }
    const auto answered = answer_by_condition(r, etag);
    return answered ? *answered : send_body(r, NGX_HTTP_OK, make_body(r, type, parts));
}


ngx_int_t send_long(ngx_http_request_t *r, std::string_view type, long_answer &what) noexcept
{
    if (!what.body.whole() || what.body.empty()) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }
    if (const auto end = begin_uncached(r)) {
        return *end;
    }
    set_content(r, type, what.body.size());
    r->headers_out.status = NGX_HTTP_OK;
    r->disable_not_modified = 1;
    const ngx_int_t rc = ngx_http_send_header(r);
    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }
    what.turns.r = r;
    what.turns.work = &what;
    if (const auto end = send_piece(what.turns)) {
        return *end;
    }
    return begin_turns(what.turns, r, &what, send_piece) ? NGX_DONE : NGX_ERROR;
}


ngx_int_t send_file(ngx_http_request_t *r, const embedded_file &file) noexcept
{
    return guarded(r, [&]() -> ngx_int_t {
        const auto packed = begin_gzip(r);
        if (!packed) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
        const std::string etag = '"' + std::string(file.hash) + (*packed ? "-gzip\"" : "\"");
        const ngx_str_t copy = copy_to_pool(r->pool, etag);
        r->headers_out.etag = copy.data != nullptr ? push_header(r, "ETag", copy) : nullptr;
        if (r->headers_out.etag == nullptr || !add_header(r, "Cache-Control", "no-cache")) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
        if (const auto answered = answer_by_condition(r, etag)) {
            return *answered;
        }
        if (*packed) {
            r->headers_out.content_encoding = push_header(r, "Content-Encoding", str_of("gzip"));
            if (r->headers_out.content_encoding == nullptr) {
                return NGX_HTTP_INTERNAL_SERVER_ERROR;
            }
        }
        const auto content = *packed ? file.gzip : file.plain;
        set_content(r, file.type, content.size());
        return send_body(r, NGX_HTTP_OK, body_of_constant(r, content));
    });
}


ngx_int_t send_json(ngx_http_request_t *r, std::string_view body) noexcept
{
    return send_text(r, "application/json", {body});
}


bool matches_etag(const ngx_http_request_t *r, std::string_view etag) noexcept
{
    return any_header(r, "If-None-Match",
                      [etag](std::string_view value) { return names_etag(value, etag, compared::weakly); });
}


condition condition_of(const ngx_http_request_t *r, std::string_view etag) noexcept
{
    const auto matches = [etag](std::string_view value) { return names_etag(value, etag, compared::strongly); };
    if (any_header(r, "If-Match", [](std::string_view) { return true; }) && !any_header(r, "If-Match", matches)) {
        return condition::failed;
    }
    const bool reads = (r->method & (NGX_HTTP_GET | NGX_HTTP_HEAD)) != 0;
    return reads && matches_etag(r, etag) ? condition::not_modified : condition::met;
}


ngx_int_t send_task(ngx_http_request_t *r, ngx_uint_t status, const task_record &task, std::string_view etag,
                    const document_form &form) noexcept
{
    if (!add_document_headers(r, etag)) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }
    // A POST has created something, whatever its preconditions say.
    if (r->method & (NGX_HTTP_GET | NGX_HTTP_HEAD)) {
        if (const auto answered = answer_by_condition(r, etag)) {
            return *answered;
        }
    }

    const auto pieces = serve_document(task, form);
    return send_body(r, status, make_body(r, "application/json", {pieces[0], pieces[1], pieces[2], pieces[3]}));
}

} // namespace rollout
