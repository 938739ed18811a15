// The settings that the directives fill in, and how a request finds them. The directives themselves are in
// directives.cpp.
#pragma once

#include "module/link/link_settings.hpp"
#include "module/nginx/ngx.hpp"
#include "module/tables/served_document.hpp"
#include "module/zone/shared_zone.hpp"

#include <cstdint>

namespace rollout {

/// The position of a directive, for errors that are found only after the whole configuration has been read.
struct directive_context {
    u_char *file = nullptr;
    ngx_uint_t line = 0;
};

/// Where a request carries its model's name.
enum class name_source : std::uint8_t {
    elsewhere, ///< where rollout_route's variables find it, for example in the URI
    grpc,      ///< in its gRPC message
    json,      ///< in the member `model` of its body
};

struct main_settings {
    shared_zone *zone = nullptr;
    link_settings link;
    directive_context worker_used;
    directive_context api_used;   ///< the first rollout_api
    directive_context route_used; ///< the first rollout_route
    directive_context metrics_used;
    bool reads_names = false; ///< at least one location reads model names from request bodies
    bool route_resolves =
        false; ///< a location with rollout_route has a resolver, and may resolve hosts that are not upstream blocks
};

struct location_settings {
    bool api = false;
    bool metrics = false;
    bool page = false;
    directive_context handler_context; ///< of the directive that answers requests in this very location
    ngx_str_t base{};                  ///< the part of the URI before the route
    document_form documents;           ///< how tasks' documents are served
    ngx_str_t page_api{};              ///< what a browser puts before the API's routes
    ngx_http_complex_value_t *page_write =
        nullptr; ///< whether the page shows what changes something; null: it does not

    ngx_http_complex_value_t *model = nullptr; ///< rollout_route's MODEL; null if the location has none
    name_source name_at = name_source::elsewhere;
    directive_context name_directive; ///< of the `rollout_grpc` or `rollout_json_model` in this very location
    bool route_off = false;           ///< `rollout_route off`: nothing is inherited either
    ngx_http_complex_value_t *part = nullptr;
    ngx_http_complex_value_t *key = nullptr;
    ngx_http_complex_value_t *preview = nullptr;
    bool keeps_server_names = false; ///< names=server: answers name the model as the server does
};

inline main_settings &main_of(ngx_http_request_t *r) noexcept
{
    return *static_cast<main_settings *>(ngx_http_get_module_main_conf(r, ngx_http_rollout_module));
}


inline location_settings &location_of(ngx_http_request_t *r) noexcept
{
    return *static_cast<location_settings *>(ngx_http_get_module_loc_conf(r, ngx_http_rollout_module));
}

} // namespace rollout
