// The directives: what each takes, and what it refuses when the configuration is read.
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

/// When a location is merged: has another module's directive taken the place of the one that answers its requests? An error of nginx's
/// with the place of ours, or NGX_CONF_OK.
char *check_handler(ngx_conf_t *cf, const location_settings &location, const ngx_http_core_loc_conf_t &core);

/// When a location is merged: is a name that its requests carry in their bodies any use there? As above.
char *check_name_source(ngx_conf_t *cf, const location_settings &location);

} // namespace rollout
