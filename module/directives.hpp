// The directives: the parameters that each accepts, and what it refuses when the configuration is read.
#pragma once

#include "module/configuration.hpp"
#include "module/nginx/ngx.hpp"

namespace rollout {

char *set_zone(ngx_conf_t *cf, ngx_command_t *command, void *conf);
char *set_worker(ngx_conf_t *cf, ngx_command_t *command, void *conf);
char *set_api(ngx_conf_t *cf, ngx_command_t *command, void *conf);
char *set_route(ngx_conf_t *cf, ngx_command_t *command, void *conf);
char *set_grpc(ngx_conf_t *cf, ngx_command_t *command, void *conf);
char *set_json_model(ngx_conf_t *cf, ngx_command_t *command, void *conf);
char *set_ready(ngx_conf_t *cf, ngx_command_t *command, void *conf);
char *set_metrics(ngx_conf_t *cf, ngx_command_t *command, void *conf);
char *set_page(ngx_conf_t *cf, ngx_command_t *command, void *conf);

/// Returns the handler that the location's use requires; null if it has none.
ngx_http_handler_pt handler_of(const location_settings &location) noexcept;

/// Checks, when a location is merged, that no directive of another module has replaced the handler that rollout_api,
/// rollout_metrics or rollout_page set. Returns NGX_CONF_OK, or logs an error with the position of our directive and
/// returns it to nginx.
char *check_handler(ngx_conf_t *cf, const location_settings &location, const ngx_http_core_loc_conf_t &core);

/// Checks, when a location is merged, that a model name read from request bodies is used by a rollout_route. Returns
/// as above.
char *check_name_source(ngx_conf_t *cf, const location_settings &location);

} // namespace rollout
