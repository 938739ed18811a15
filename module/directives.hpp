// The directives: what each takes, and what it refuses when the configuration is read.
#pragma once

#include "module/ngx.hpp"

namespace rollout {

char *set_zone(ngx_conf_t *cf, ngx_command_t *command, void *conf);
char *set_worker(ngx_conf_t *cf, ngx_command_t *command, void *conf);
char *set_api(ngx_conf_t *cf, ngx_command_t *command, void *conf);
char *set_route(ngx_conf_t *cf, ngx_command_t *command, void *conf);
char *set_metrics(ngx_conf_t *cf, ngx_command_t *command, void *conf);

} // namespace rollout
