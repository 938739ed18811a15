#include "module/handlers/grpc_status.hpp"

#include "module/configuration.hpp"
#include "module/nginx/response.hpp"

#include <algorithm>

namespace rollout {

namespace {

constexpr std::string_view content_type = "application/grpc";

ngx_http_output_header_filter_pt next_status_filter;


std::optional<unsigned> number_of(const ngx_str_t &text) noexcept
{
    const ngx_int_t number = ngx_atoi(text.data, text.len);
    return number >= 0 && number <= 999 ? std::optional(static_cast<unsigned>(number)) : std::nullopt;
}


std::optional<unsigned> status_in(const ngx_list_t &list) noexcept
{
    for (const ngx_list_part_t *part = &list.part; part != nullptr; part = part->next) {
        const auto *headers = static_cast<const ngx_table_elt_t *>(part->elts);
        for (ngx_uint_t i = 0; i < part->nelts; ++i) {
            if (same_word(view_of(headers[i].key), "grpc-status")) {
                return number_of(headers[i].value);
            }
        }
    }
    return std::nullopt;
}


void clear(ngx_table_elt_t *&header) noexcept
{
    if (header != nullptr) {
        header->hash = 0;
        header = nullptr;
    }
}


/// Turns the answer into one of headers only. Returns false if out of memory.
bool set_status(ngx_http_request_t *r, unsigned status, std::string_view message) noexcept
{
    auto &out = r->headers_out;
    ngx_http_clear_content_length(r);
    ngx_http_clear_accept_ranges(r);
    ngx_http_clear_last_modified(r);
    ngx_http_clear_etag(r);
    clear(out.location);
    clear(out.content_encoding);
    out.status = NGX_HTTP_OK;
    out.status_line.len = 0;
    out.charset.len = 0;
    out.content_type = str_of(content_type);
    out.content_type_len = content_type.size();
    out.content_type_lowcase = nullptr;
    r->header_only = 1;
    r->disable_not_modified = 1;

    auto *digits = static_cast<u_char *>(ngx_pnalloc(r->pool, NGX_INT_T_LEN));
    if (digits == nullptr) {
        return false;
    }
    const ngx_str_t number = {static_cast<std::size_t>(ngx_sprintf(digits, "%ud", status) - digits), digits};
    const ngx_str_t text = encode_grpc_message(r->pool, message);
    return text.data != nullptr && add_header(r, "grpc-status", view_of(number)) &&
           (text.len == 0 || add_header(r, "grpc-message", view_of(text)));
}


std::string_view sentence_of(ngx_uint_t status) noexcept
{
    switch (status) {
    case NGX_HTTP_UNAUTHORIZED:
        return "The gateway asks for credentials.";
    case NGX_HTTP_FORBIDDEN:
        return "The gateway does not allow this client to do that.";
    case NGX_HTTP_REQUEST_ENTITY_TOO_LARGE:
        return "The message is larger than the gateway accepts (client_max_body_size).";
    case NGX_HTTP_TOO_MANY_REQUESTS:
        return "The gateway's rate limit is exceeded; try again later.";
    case NGX_HTTP_BAD_GATEWAY:
        return "The inference server cannot be reached, or its answer is not one.";
    case NGX_HTTP_SERVICE_UNAVAILABLE:
        return "The gateway or the inference server refuses the request for now; try again later.";
    case NGX_HTTP_GATEWAY_TIME_OUT:
        return "The inference server did not answer in time.";
    default:
        return "The gateway could not pass the request on.";
    }
}


/// Returns whether the answer is not gRPC's own, but goes to a gRPC client.
bool is_foreign(ngx_http_request_t *r) noexcept
{
    return r == r->main && location_of(r).name_at == name_source::grpc && r->headers_out.status != NGX_HTTP_OK &&
           is_grpc_request(r);
}


ngx_int_t status_header_filter(ngx_http_request_t *r)
{
    if (is_foreign(r)) {
        const auto status = static_cast<unsigned>(r->headers_out.status);
        if (!set_status(r, grpc_status_of_http(status), sentence_of(status))) {
            return NGX_ERROR;
        }
    }
    return next_status_filter(r);
}


ngx_int_t read_status(ngx_http_request_t *r, ngx_http_variable_value_t *value, uintptr_t)
{
    value->not_found = 1;
    auto status = status_in(r->headers_out.headers);
    if (!status && r->upstream != nullptr && is_grpc_request(r)) {
        status = grpc_status_of(*r->upstream);
    }
    auto *text = status ? static_cast<u_char *>(ngx_pnalloc(r->pool, NGX_INT_T_LEN)) : nullptr;
    if (text == nullptr) {
        return status ? NGX_ERROR : NGX_OK;
    }
    value->data = text;
    value->len = static_cast<unsigned>(ngx_sprintf(text, "%ud", *status) - text) & 0xfffffff;
    value->valid = 1;
    value->no_cacheable = 0;
    value->not_found = 0;
    return NGX_OK;
}

} // namespace


bool is_grpc_request(const ngx_http_request_t *r) noexcept
{
    const auto *type = r->main->headers_in.content_type;
    return r->http_version == NGX_HTTP_VERSION_20 && type != nullptr && type->value.len >= content_type.size() &&
           same_word(view_of(type->value).substr(0, content_type.size()), content_type);
}


std::optional<unsigned> grpc_status_of(const ngx_http_upstream_t &upstream) noexcept
{
    const auto &in = upstream.headers_in;
    const auto status = in.trailers.part.elts != nullptr ? status_in(in.trailers) : std::nullopt;
    return status || in.headers.part.elts == nullptr ? status : status_in(in.headers);
}


std::optional<std::uint64_t> grpc_timeout_ms(ngx_http_request_t *r) noexcept
{
    const auto text = find_header(r, "grpc-timeout");
    if (text.len < 2 || text.len > 9) {
        return std::nullopt;
    }
    const ngx_int_t number = ngx_atoi(text.data, text.len - 1);
    if (number < 0) {
        return std::nullopt;
    }
    const auto value = static_cast<std::uint64_t>(number);
    switch (text.data[text.len - 1]) {
    case 'H':
        return value * 3600 * 1000;
    case 'M':
        return value * 60 * 1000;
    case 'S':
        return value * 1000;
    case 'm':
        return value;
    case 'u':
        return value / 1000;
    case 'n':
        return value / 1000000;
    default:
        return std::nullopt;
    }
}


ngx_str_t encode_grpc_message(ngx_pool_t *pool, std::string_view message) noexcept
{
    auto *encoded = static_cast<u_char *>(ngx_pnalloc(pool, message.size() * 3 + 1));
    u_char *cursor = encoded;
    for (const char c : message) {
        if (encoded == nullptr) {
            break;
        }
        if (c >= ' ' && c <= '~' && c != '%') {
            *cursor++ = static_cast<u_char>(c);
        } else {
            cursor = ngx_sprintf(cursor, "%%%02Xd", static_cast<unsigned>(static_cast<u_char>(c)));
        }
    }
    return {static_cast<std::size_t>(cursor - encoded), encoded};
}


unsigned grpc_status_of_http(unsigned status) noexcept
{
    const auto code = [status] {
        switch (status) {
        case NGX_HTTP_UNAUTHORIZED:
            return grpc_status::unauthenticated;
        case NGX_HTTP_FORBIDDEN:
            return grpc_status::permission_denied;
        case NGX_HTTP_NOT_FOUND:
            return grpc_status::not_found;
        case NGX_HTTP_REQUEST_ENTITY_TOO_LARGE:
            return grpc_status::resource_exhausted;
        case NGX_HTTP_TOO_MANY_REQUESTS:
        case NGX_HTTP_BAD_GATEWAY:
        case NGX_HTTP_SERVICE_UNAVAILABLE:
            return grpc_status::unavailable;
        case NGX_HTTP_GATEWAY_TIME_OUT:
            return grpc_status::deadline_exceeded;
        case NGX_HTTP_BAD_REQUEST:
            return grpc_status::invalid_argument;
        default:
            return grpc_status::internal;
        }
    }();
    return static_cast<unsigned>(code);
}


ngx_int_t send_grpc_status(ngx_http_request_t *r, unsigned status, std::string_view message) noexcept
{
    if (!set_status(r, status, message)) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }
    return ngx_http_send_header(r);
}


ngx_int_t add_grpc_status_variable(ngx_conf_t *cf) noexcept
{
    ngx_str_t name = ngx_string("rollout_grpc_status");
    ngx_http_variable_t *variable = ngx_http_add_variable(cf, &name, NGX_HTTP_VAR_NOCACHEABLE);
    if (variable == nullptr) {
        return NGX_ERROR;
    }
    variable->get_handler = read_status;
    return NGX_OK;
}


void install_grpc_status() noexcept
{
    next_status_filter = ngx_http_top_header_filter;
    ngx_http_top_header_filter = status_header_filter;
}

} // namespace rollout
