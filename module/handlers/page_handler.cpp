#include "module/handlers/page_handler.hpp"

#include "common/base/json_writer.hpp"
#include "module/configuration.hpp"
#include "module/nginx/guard.hpp"
#include "module/nginx/response.hpp"
#include "module/page/page_files.hpp"

#include <array>
#include <optional>
#include <utility>

namespace rollout {

namespace {

constexpr std::string_view settings_name = "settings.json";

/// The page loads nothing from elsewhere, cannot be framed, and treats no text as a program.
constexpr std::array<std::pair<std::string_view, std::string_view>, 5> page_headers = {{
    {"Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
                                "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
                                "require-trusted-types-for 'script'"},
    {"X-Content-Type-Options", "nosniff"},
    {"Referrer-Policy", "no-referrer"},
    {"Cross-Origin-Opener-Policy", "same-origin"},
    {"Cross-Origin-Resource-Policy", "same-origin"},
}};


bool add_page_headers(ngx_http_request_t *r) noexcept
{
    for (const auto &[name, value] : page_headers) {
        if (!add_header(r, name, value)) {
            return false;
        }
    }
    return true;
}


/// Returns whether this request's client sees the buttons; nothing if the variable could not be evaluated.
std::optional<bool> may_write(ngx_http_request_t *r) noexcept
{
    ngx_http_complex_value_t *write = location_of(r).page_write;
    if (write == nullptr) {
        return false;
    }
    ngx_str_t value;
    if (ngx_http_complex_value(r, write, &value) != NGX_OK) {
        return std::nullopt;
    }
    const auto word = view_of(value);
    return !word.empty() && word != "0" && word != "off";
}


ngx_int_t send_settings(ngx_http_request_t *r)
{
    const auto write = may_write(r);
    if (!write || !add_page_headers(r)) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }
    json_writer to;
    to.begin_object();
    to.name("api").text(view_of(location_of(r).page_api));
    to.name("write").boolean(*write);
    to.name("version").text(ROLLOUT_VERSION);
    to.end_object();
    return send_json(r, to.take());
}


ngx_int_t write_page(ngx_http_request_t *r)
{
    if (!(r->method & (NGX_HTTP_GET | NGX_HTTP_HEAD))) {
        return add_header(r, "Allow", "GET, HEAD") ? NGX_HTTP_NOT_ALLOWED : NGX_HTTP_INTERNAL_SERVER_ERROR;
    }
    if (const ngx_int_t rc = ngx_http_discard_request_body(r); rc != NGX_OK) {
        return rc;
    }
    const auto uri = view_of(r->uri);
    if (last_segment(uri) == settings_name) {
        return send_settings(r);
    }
    const page_file *file = find_page_file(uri);
    if (file == nullptr) {
        return NGX_HTTP_NOT_FOUND;
    }
    if (!add_page_headers(r)) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }
    return send_file(r, {.type = file->type, .hash = file->hash, .plain = file->plain, .gzip = file->gzip});
}

} // namespace


ngx_int_t handle_page(ngx_http_request_t *r) noexcept
{
    return guarded(r, [r] { return write_page(r); });
}

} // namespace rollout
