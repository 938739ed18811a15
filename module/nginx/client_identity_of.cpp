#include "module/nginx/client_identity_of.hpp"

namespace rollout {

namespace {

/// Returns the value of a variable of nginx's; empty if it has none, or the module that provides it is missing.
std::string_view variable(ngx_http_request_t *r, std::string_view name)
{
    ngx_str_t text = str_of(name);
    const ngx_http_variable_value_t *value = ngx_http_get_variable(r, &text, ngx_hash_key(text.data, text.len));
    if (value == nullptr || value->not_found) {
        return {};
    }
    return {reinterpret_cast<const char *>(value->data), value->len};
}

} // namespace


client_identity client_identity_of(ngx_http_request_t *r)
{
    client_identity who;
    who.address = view_of(r->connection->addr_text);
    who.user = variable(r, "remote_user");
    // With "ssl_verify_client optional" the certificate may be unverified.
    if (variable(r, "ssl_client_verify") == "SUCCESS") {
        who.certificate = variable(r, "ssl_client_s_dn");
    }
    return who;
}

} // namespace rollout
