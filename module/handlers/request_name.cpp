#include "module/handlers/request_name.hpp"

#include "module/configuration.hpp"
#include "module/handlers/grpc_status.hpp"
#include "module/handlers/grpc_stream.hpp"
#include "module/handlers/route_handler.hpp"
#include "module/messages/grpc_name.hpp"
#include "module/messages/json_name.hpp"
#include "module/nginx/guard.hpp"

#include <algorithm>
#include <optional>
#include <string>

namespace rollout {

namespace {

ngx_http_request_body_filter_pt next_name_filter;

constexpr auto no_length_index = static_cast<ngx_uint_t>(-1);
ngx_uint_t length_index = no_length_index;

/// Marks the pool's cleanup that holds a body, so that it survives an internal redirect.
void name_mark(void *) {}


name_reader *make_request_reader(ngx_http_request_t *r) noexcept
{
    if (location_of(r).name_at == name_source::grpc) {
        return make_in_pool<grpc_request_reader>(r->pool, call_of(*r));
    }
    return make_in_pool<json_name_reader>(r->pool, json_kind::request);
}


/// Returns whether the name can stand between JSON's quotes without escapes.
bool is_plain(std::string_view name) noexcept
{
    return std::none_of(name.begin(), name.end(),
                        [](char c) { return c == '"' || c == '\\' || (c >= 0 && c < ' ') || c == '\x7f'; });
}


/// Ends the stream with a status: a stream has one model only.
void end_of_other_model(grpc_stream &stream, std::string_view name, std::string_view found) noexcept
{
    guarded(stream.request->connection->log, [&] {
        end_stream(stream, static_cast<unsigned>(grpc_status::failed_precondition),
                   "The stream's first message names the model \"" + std::string(name) + "\", and this one \"" +
                       std::string(found) + "\"; open a stream for each.");
    });
}


/// Makes the choice for the name that has been read, and sets the name to write in its place.
body_rewriter::verdict choose(ngx_http_request_t *r, named_body &body, std::string_view found,
                              std::string_view &instead) noexcept
{
    if (body.stream != nullptr) {
        note_message(*body.stream);
    }
    if (body.name.data == nullptr) {
        body.name = copy_to_pool(r->pool, found);
        if (body.name.data == nullptr) {
            return body_rewriter::verdict::stop;
        }
        body.backend = choose_backend(r);
    }
    if (found != view_of(body.name)) {
        end_of_other_model(*body.stream, view_of(body.name), found);
        return body_rewriter::verdict::stop;
    }
    if (body.backend.empty() || !is_plain(body.backend)) {
        return body_rewriter::verdict::stop;
    }
    instead = body.backend;
    body.has_many = !body.body.last_written().empty();
    return body_rewriter::verdict::rename;
}


bool ends(const ngx_chain_t *chain) noexcept
{
    for (; chain != nullptr; chain = chain->next) {
        if (chain->buf->last_buf) {
            return true;
        }
    }
    return false;
}


/// Passes on nothing of the chain except the end of the body. Of a stream that the gateway ends, not even that: the
/// server would take it for whole, and its own end could reach the client before the gateway's.
ngx_chain_t *drop(ngx_http_request_t *r, ngx_chain_t *in, const grpc_stream *stream) noexcept
{
    bool ends = false;
    for (; in != nullptr; in = in->next) {
        in->buf->pos = in->buf->last;
        ends = ends || in->buf->last_buf;
    }
    ends = ends && (stream == nullptr || stream->status == 0);
    ngx_chain_t *end = ends ? ngx_alloc_chain_link(r->pool) : nullptr;
    if (end == nullptr) {
        return nullptr;
    }
    *end = {static_cast<ngx_buf_t *>(ngx_calloc_buf(r->pool)), nullptr};
    if (end->buf == nullptr) {
        return nullptr;
    }
    end->buf->last_buf = 1;
    return end;
}


ngx_int_t name_body_filter(ngx_http_request_t *r, ngx_chain_t *in)
{
    named_body *body = in != nullptr && location_of(r).name_at != name_source::elsewhere ? named_body_of(r) : nullptr;
    if (body == nullptr || body->is_in) {
        return next_name_filter(r, in);
    }
    ngx_chain_t *out = nullptr;
    if (!body->is_dropped) {
        const auto rewritten = body->body.rewrite(r, in, out, [&](std::string_view found, std::string_view &instead) {
            return choose(r, *body, found, instead);
        });
        if (rewritten == body_rewriter::result::failed) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
        body->is_dropped = rewritten == body_rewriter::result::refused;
        body->fault = body->reader->fault();
        if (body->stream != nullptr && !body->is_in && body->fault == nullptr && ends(out)) {
            body->fault = body->reader->finish();
        }
        if (body->stream != nullptr && body->is_begun && body->fault != nullptr) {
            end_stream(*body->stream, body->fault->grpc_status, body->fault->sentence);
            body->is_dropped = true;
        }
    }
    if (body->is_dropped) {
        out = drop(r, in, body->stream);
    }
    const ngx_int_t rc = next_name_filter(r, out);
    free_links(r->pool, out);
    return rc;
}


void set_length(ngx_http_request_t *r, off_t length) noexcept
{
    r->headers_in.content_length_n = length;
    r->headers_in.content_length = nullptr;
    if (length_index != no_length_index) {
        r->variables[length_index].valid = 0;
        r->variables[length_index].not_found = 0;
    }
}


void go_on(ngx_http_request_t *r) noexcept
{
    r->preserve_body = 1;
    r->write_event_handler = ngx_http_core_run_phases;
    ngx_http_core_run_phases(r);
}


void on_whole_body(ngx_http_request_t *r)
{
    named_body &body = *named_body_of(r);
    body.is_in = true;
    body.whole = r->request_body;
    if (!body.is_dropped) {
        body.fault = body.reader->finish();
        set_length(r, body.body.written());
    }
    body.is_begun = true;
    go_on(r);
}


/// Returns whether the stream's first name has been read, or will not come.
bool has_begun(named_body &body) noexcept
{
    body.is_begun = body.is_begun || body.name.data != nullptr || body.is_dropped || body.fault != nullptr;
    return body.is_begun;
}


void begin_with_stream(ngx_http_request_t *r) noexcept
{
    r->read_event_handler = ngx_http_block_reading;
    r->headers_in.content_length = nullptr;
    go_on(r);
}


void on_stream(ngx_http_request_t *r)
{
    named_body &body = *named_body_of(r);
    const ngx_int_t rc = ngx_http_read_unbuffered_request_body(r);
    if (rc >= NGX_HTTP_SPECIAL_RESPONSE) {
        ngx_http_finalize_request(r, rc);
    } else if (!r->reading_body) {
        r->request_body_no_buffering = 0;
        r->read_event_handler = ngx_http_block_reading;
        on_whole_body(r);
    } else if (has_begun(body)) {
        begin_with_stream(r);
    }
}


/// Called when the first bytes of the body have arrived, or there are none.
void on_stream_begin(ngx_http_request_t *r)
{
    named_body &body = *named_body_of(r);
    if (!r->reading_body) {
        on_whole_body(r);
    } else if (has_begun(body)) {
        begin_with_stream(r);
    } else {
        r->read_event_handler = on_stream;
        r->write_event_handler = ngx_http_request_empty_handler;
    }
}


/// Returns the replacement that was written for the name, with another name in it.
std::optional<ngx_str_t> write_again(ngx_http_request_t *r, std::string_view written, std::string_view backend,
                                     bool is_grpc) noexcept
{
    ngx_str_t text = {0, static_cast<u_char *>(ngx_pnalloc(r->pool, written.size() + backend.size() + 64))};
    if (text.data == nullptr) {
        return std::nullopt;
    }
    if (!is_grpc) {
        text.len =
            static_cast<std::size_t>(ngx_sprintf(text.data, "\"%*s\"", backend.size(), backend.data()) - text.data);
        return text;
    }
    auto *reader = make_in_pool<grpc_request_reader>(r->pool, grpc_call::unary);
    if (reader == nullptr || reader->read(written).what != name_reader::found::name) {
        return std::nullopt;
    }
    text.len = reader->write(backend, reinterpret_cast<char *>(text.data));
    return text;
}


/// Appends the bytes from `from` to `to` of a chain to `end`, as new links. Returns null if out of memory.
ngx_chain_t **append_range(ngx_http_request_t *r, const ngx_chain_t *chain, off_t from, off_t to,
                           ngx_chain_t **end) noexcept
{
    off_t offset = 0;
    for (; chain != nullptr && offset < to; chain = chain->next) {
        const off_t size = ngx_buf_size(chain->buf);
        const off_t first = std::max(from, offset) - offset;
        const off_t last = std::min(to, offset + size) - offset;
        offset += size;
        if (first >= last) {
            continue;
        }
        auto *buffer = static_cast<ngx_buf_t *>(ngx_calloc_buf(r->pool));
        ngx_chain_t *link = ngx_alloc_chain_link(r->pool);
        if (buffer == nullptr || link == nullptr) {
            return nullptr;
        }
        *buffer = *chain->buf;
        if (ngx_buf_in_memory(buffer)) {
            buffer->last = buffer->pos + last;
            buffer->pos += first;
            buffer->start = buffer->pos;
        }
        if (buffer->in_file) {
            buffer->file_last = buffer->file_pos + last;
            buffer->file_pos += first;
        }
        buffer->last_buf = 0;
        *link = {buffer, nullptr};
        *end = link;
        end = &link->next;
    }
    return end;
}


/// Reads the name in a body that another location has read already, before an error_page or the like led here, and
/// replaces it in a copy. Returns false if out of memory.
bool rewrite_read_body(ngx_http_request_t *r, named_body &body) noexcept
{
    auto *copy = static_cast<ngx_http_request_body_t *>(ngx_palloc(r->pool, sizeof(ngx_http_request_body_t)));
    ngx_chain_t *in = nullptr;
    if (copy == nullptr || append_range(r, r->request_body->bufs, 0, NGX_MAX_OFF_T_VALUE, &in) == nullptr) {
        return false;
    }
    *copy = *r->request_body;
    copy->bufs = nullptr;
    const auto rewritten =
        body.body.rewrite(r, in, copy->bufs, [&](std::string_view found, std::string_view &instead) {
            return choose(r, body, found, instead);
        });
    if (rewritten == body_rewriter::result::failed) {
        return false;
    }
    body.is_dropped = rewritten == body_rewriter::result::refused;
    body.fault = body.reader->fault();
    if (!body.is_dropped) {
        r->request_body = copy;
    }
    return true;
}


ngx_int_t read_name(ngx_http_request_t *r, ngx_http_variable_value_t *value, uintptr_t data)
{
    const auto *body = named_body_of(r);
    const bool is_grpc = data == static_cast<uintptr_t>(name_source::grpc);
    value->not_found = 1;
    if (body == nullptr || body->name.data == nullptr || body->is_grpc != is_grpc) {
        return NGX_OK;
    }
    value->data = body->name.data;
    value->len = static_cast<unsigned>(body->name.len) & 0xfffffff;
    value->valid = 1;
    value->no_cacheable = 0;
    value->not_found = 0;
    return NGX_OK;
}

} // namespace


grpc_call call_of(const ngx_http_request_t &r) noexcept
{
    return view_of(r.main->uri).ends_with("/ModelStreamInfer") ? grpc_call::stream : grpc_call::unary;
}


named_body *named_body_of(const ngx_http_request_t *r) noexcept
{
    return find_in_pool<named_body>(r->pool, name_mark);
}


ngx_int_t read_named_body(ngx_http_request_t *r) noexcept
{
    const bool was_read = r->request_body != nullptr;
    if (was_read && (r->reading_body || r->request_body_no_buffering)) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "rollout: the model's name cannot be read in a body that another location has begun to pass on "
                      "unbuffered, as grpc_pass and \"proxy_request_buffering off\" do");
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }
    name_reader *reader = make_request_reader(r);
    ngx_pool_cleanup_t *cleanup = ngx_pool_cleanup_add(r->pool, sizeof(named_body));
    if (reader == nullptr || cleanup == nullptr) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }
    cleanup->handler = name_mark;
    const bool is_grpc = location_of(r).name_at == name_source::grpc;
    const bool is_stream = is_grpc && call_of(*r) == grpc_call::stream;
    auto *body = new (cleanup->data) named_body(reader, {.of_request = true, .reuses = is_stream});
    body->is_grpc = is_grpc;
    if (is_stream) {
        body->stream = begin_stream(r);
        if (body->stream == nullptr) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
        r->request_body_no_buffering = 1;
    }

    if (was_read && !rewrite_read_body(r, *body)) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    // The same way as mirror reads it.
    const ngx_int_t rc = ngx_http_read_client_request_body(r, is_stream ? on_stream_begin : on_whole_body);
    if (rc >= NGX_HTTP_SPECIAL_RESPONSE) {
        return rc;
    }
    ngx_http_finalize_request(r, NGX_DONE);
    return NGX_DONE;
}


bool rename_body(ngx_http_request_t *r, std::string_view backend) noexcept
{
    const named_body &body = *named_body_of(r);
    const auto *whole = body.whole;
    if (whole == nullptr || body.has_many || !is_plain(backend)) { // only where the last name is, is known
        return false;
    }
    const auto text = write_again(r, body.body.last_written(), backend, body.is_grpc);
    auto *copy = static_cast<ngx_http_request_body_t *>(ngx_palloc(r->pool, sizeof(ngx_http_request_body_t)));
    auto *buffer = static_cast<ngx_buf_t *>(ngx_calloc_buf(r->pool));
    ngx_chain_t *link = ngx_alloc_chain_link(r->pool);
    if (!text || copy == nullptr || buffer == nullptr || link == nullptr) {
        return false;
    }
    buffer->temporary = 1;
    buffer->start = buffer->pos = text->data;
    buffer->last = buffer->end = text->data + text->len;
    *link = {buffer, nullptr};

    *copy = *whole;
    copy->bufs = nullptr;
    const off_t size = body.body.written();
    ngx_chain_t **end = append_range(r, whole->bufs, 0, body.body.name_from(), &copy->bufs);
    if (end == nullptr) {
        return false;
    }
    *end = link;
    end = append_range(r, whole->bufs, body.body.name_to(), size, &link->next);
    if (end == nullptr) {
        return false;
    }
    for (link = copy->bufs; link->next != nullptr; link = link->next) {
    }
    link->buf->last_buf = 1;
    r->request_body = copy;
    set_length(r, size - (body.body.name_to() - body.body.name_from()) + static_cast<off_t>(text->len));
    return true;
}


void install_request_names() noexcept
{
    next_name_filter = ngx_http_top_request_body_filter;
    ngx_http_top_request_body_filter = name_body_filter;
}


ngx_int_t add_name_variables(ngx_conf_t *cf) noexcept
{
    static constexpr std::pair<std::string_view, name_source> variables[] = {
        {"rollout_grpc_model", name_source::grpc}, {"rollout_json_model", name_source::json}};
    for (const auto &[name, place] : variables) {
        ngx_str_t text = str_of(name);
        ngx_http_variable_t *variable = ngx_http_add_variable(cf, &text, NGX_HTTP_VAR_NOCACHEABLE);
        if (variable == nullptr) {
            return NGX_ERROR;
        }
        variable->get_handler = read_name;
        variable->data = static_cast<uintptr_t>(place);
    }
    return NGX_OK;
}


void find_length_variable(ngx_conf_t *cf) noexcept
{
    const auto *core =
        static_cast<ngx_http_core_main_conf_t *>(ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module));
    const auto *indexed = static_cast<const ngx_http_variable_t *>(core->variables.elts);
    length_index = no_length_index;
    for (ngx_uint_t index = 0; index < core->variables.nelts; ++index) {
        if (view_of(indexed[index].name) == "content_length") {
            length_index = index;
        }
    }
}

} // namespace rollout
