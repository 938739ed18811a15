// What the directives set, and how a request finds it. The directives themselves are in directives.cpp.
#pragma once

#include "module/link/link_settings.hpp"
#include "module/nginx/ngx.hpp"
#include "module/tables/served_document.hpp"
#include "module/zone/shared_zone.hpp"

namespace rollout {

/// Where a directive stands, for a fault that shows only when the whole configuration is read.
struct directive_place {
    u_char *file = nullptr;
    ngx_uint_t line = 0;
};

struct main_settings {
    shared_zone *zone = nullptr;
    link_settings link;
    directive_place worker_used;
    directive_place api_used;   ///< the first rollout_api
    directive_place route_used; ///< the first rollout_route
    directive_place metrics_used;
    bool route_resolves =
        false; ///< a location with rollout_route has a resolver: it may find hosts that are no upstream blocks
};

struct location_settings {
    bool api = false;
    bool metrics = false;
    directive_place handler_place; ///< of the `rollout_api` or `rollout_metrics` that stands in this very location
    ngx_str_t base{};              ///< what comes before the route in the URI
    document_form documents;       ///< how tasks' documents are served

    ngx_http_complex_value_t *model = nullptr; ///< rollout_route; null: none here
    bool route_off = false;                    ///< `rollout_route off`: none, also where the location around has one
    ngx_http_complex_value_t *part = nullptr;
    ngx_http_complex_value_t *key = nullptr;
    ngx_http_complex_value_t *preview = nullptr;
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
