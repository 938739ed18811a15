// ngx_http_rollout_module: its commands, and the lifecycle of a configuration and of a worker process. The parameters
// of the directives are in directives.cpp, the handlers of requests in api_handler.cpp and route_handler.cpp, the
// state that both read in shared_zone.hpp, and the link that fills that state in worker_link.hpp.
#include "module/configuration.hpp"
#include "module/directives.hpp"
#include "module/handlers/answer_names.hpp"
#include "module/handlers/grpc_status.hpp"
#include "module/handlers/problem_filter.hpp"
#include "module/handlers/ready_peers.hpp"
#include "module/handlers/request_accounting.hpp"
#include "module/handlers/request_name.hpp"
#include "module/handlers/route_handler.hpp"
#include "module/link/process_link.hpp"
#include "module/nginx/guard.hpp"
#include "module/upstreams_of.hpp"
#include "module/worker_access.hpp"
#include "module/zone/process_in_flight.hpp"

#include <algorithm>

using namespace rollout;

namespace {

void *create_main(ngx_conf_t *cf);
char *init_main(ngx_conf_t *cf, void *conf);
void *create_server(ngx_conf_t *cf);
void *create_location(ngx_conf_t *cf);
char *merge_location(ngx_conf_t *cf, void *parent, void *child);
ngx_int_t before_configuration(ngx_conf_t *cf);
ngx_int_t after_configuration(ngx_conf_t *cf);
ngx_int_t init_module(ngx_cycle_t *cycle);
ngx_int_t init_process(ngx_cycle_t *cycle);
void exit_process(ngx_cycle_t *cycle);

ngx_command_t commands[] = {
    {ngx_string("rollout_zone"), NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE23, set_zone, NGX_HTTP_MAIN_CONF_OFFSET, 0,
     nullptr},
    {ngx_string("rollout_worker"), NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE1234, set_worker, NGX_HTTP_MAIN_CONF_OFFSET, 0,
     nullptr},
    {ngx_string("rollout_api"), NGX_HTTP_LOC_CONF | NGX_CONF_NOARGS | NGX_CONF_TAKE123, set_api,
     NGX_HTTP_LOC_CONF_OFFSET, 0, nullptr},
    {ngx_string("rollout_route"), NGX_HTTP_LOC_CONF | NGX_CONF_TAKE1234 | NGX_CONF_TAKE5, set_route,
     NGX_HTTP_LOC_CONF_OFFSET, 0, nullptr},
    {ngx_string("rollout_ready"), NGX_HTTP_UPS_CONF | NGX_CONF_NOARGS | NGX_CONF_TAKE1, set_ready,
     NGX_HTTP_SRV_CONF_OFFSET, 0, nullptr},
    {ngx_string("rollout_metrics"), NGX_HTTP_LOC_CONF | NGX_CONF_NOARGS, set_metrics, NGX_HTTP_LOC_CONF_OFFSET, 0,
     nullptr},
    {ngx_string("rollout_page"), NGX_HTTP_LOC_CONF | NGX_CONF_NOARGS | NGX_CONF_TAKE12, set_page,
     NGX_HTTP_LOC_CONF_OFFSET, 0, nullptr},
    {ngx_string("rollout_grpc"), NGX_HTTP_LOC_CONF | NGX_CONF_NOARGS, set_grpc, NGX_HTTP_LOC_CONF_OFFSET, 0, nullptr},
    {ngx_string("rollout_json_model"), NGX_HTTP_LOC_CONF | NGX_CONF_NOARGS, set_json_model, NGX_HTTP_LOC_CONF_OFFSET,
     0, nullptr},
    ngx_null_command,
};

ngx_http_module_t context = {
    before_configuration, after_configuration, create_main, init_main, create_server, nullptr,
    create_location,      merge_location,
};

} // namespace

extern "C" {

ngx_module_t ngx_http_rollout_module = {
    NGX_MODULE_V1,        //
    &context,             //
    commands,             //
    NGX_HTTP_MODULE,      //
    nullptr,              // init master
    init_module,          //
    init_process,         //
    nullptr,              // init thread
    nullptr,              // exit thread
    exit_process,         //
    nullptr,              // exit master
    NGX_MODULE_V1_PADDING //
};

// The symbols that nginx looks for in a dynamic module.
__attribute__((visibility("default"))) ngx_module_t *ngx_modules[] = {&ngx_http_rollout_module, nullptr};
__attribute__((visibility("default"))) char *ngx_module_names[] = {const_cast<char *>("ngx_http_rollout_module"),
                                                                   nullptr};
__attribute__((visibility("default"))) char *ngx_module_order[] = {nullptr};

} // extern "C"


namespace {

// The lifecycle of the configuration.

void *create_main(ngx_conf_t *cf)
{
    return make_in_pool<main_settings>(cf->pool);
}


char *init_main(ngx_conf_t *cf, void *conf)
{
    const auto &settings = *static_cast<main_settings *>(conf);
    const auto require = [cf](bool there, const char *missing, const char *user, const directive_context &used) {
        if (!there && used.file != nullptr) {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0, "no \"%s\" is defined for \"%s\" in %s:%ui", missing, user,
                          used.file, used.line);
            return false;
        }
        return true;
    };
    const bool zone = settings.zone != nullptr;
    const bool worker = settings.link.path.len != 0;
    if (!require(zone, "rollout_zone", "rollout_api", settings.api_used) ||
        !require(zone, "rollout_zone", "rollout_route", settings.route_used) ||
        !require(zone, "rollout_zone", "rollout_metrics", settings.metrics_used) ||
        !require(zone, "rollout_zone", "rollout_worker", settings.worker_used) ||
        !require(worker, "rollout_worker", "rollout_api", settings.api_used) ||
        !require(worker, "rollout_worker", "rollout_route", settings.route_used)) {
        return static_cast<char *>(NGX_CONF_ERROR);
    }
    return NGX_CONF_OK;
}


/// Also called for each upstream block, which has a server configuration of its own.
void *create_server(ngx_conf_t *cf)
{
    return make_in_pool<ready_settings>(cf->pool);
}


void *create_location(ngx_conf_t *cf)
{
    return make_in_pool<location_settings>(cf->pool);
}


char *merge_location(ngx_conf_t *cf, void *parent, void *child)
{
    const auto &from = *static_cast<location_settings *>(parent);
    auto &to = *static_cast<location_settings *>(child);
    auto *core = static_cast<ngx_http_core_loc_conf_t *>(ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module));

    if (char *fault = check_handler(cf, to, *core); fault != NGX_CONF_OK) {
        return fault;
    }
    // "if" and "limit_except" create an unnamed location inside another one. It inherits the handler, unless the
    // block sets one itself, for example with "proxy_pass". A named location does not inherit a handler, as with
    // nginx's own modules.
    const bool is_free = handler_of(to) == nullptr;
    if (core->noname && is_free && core->handler == nullptr && handler_of(from) != nullptr) {
        to.api = from.api;
        to.metrics = from.metrics;
        to.page = from.page;
        to.page_api = from.page_api;
        to.page_write = from.page_write;
        to.base = from.base;
        to.documents = from.documents;
        core->handler = handler_of(from);
    }
    if (handler_of(to) == nullptr && to.model == nullptr && !to.route_off) {
        to.model = from.model;
        to.part = from.part;
        to.key = from.key;
        to.preview = from.preview;
        to.keeps_server_names = from.keeps_server_names;
        to.route_off = from.route_off;
    }
    if (char *fault = check_name_source(cf, to); fault != NGX_CONF_OK) {
        return fault;
    }
    if (to.name_at == name_source::elsewhere && to.model != nullptr) {
        to.name_at = from.name_at;
    }
    if (to.model != nullptr && core->resolver != nullptr && core->resolver->connections.nelts != 0) {
        static_cast<main_settings *>(ngx_http_conf_get_module_main_conf(cf, ngx_http_rollout_module))
            ->route_resolves = true;
    }
    return NGX_CONF_OK;
}


ngx_int_t before_configuration(ngx_conf_t *cf)
{
    for (auto *add : {add_route_variables, add_name_variables, add_grpc_status_variable}) {
        if (add(cf) != NGX_OK) {
            return NGX_ERROR;
        }
    }
    return NGX_OK;
}


ngx_int_t after_configuration(ngx_conf_t *cf)
{
    auto *core =
        static_cast<ngx_http_core_main_conf_t *>(ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module));
    const auto &settings =
        *static_cast<main_settings *>(ngx_http_conf_get_module_main_conf(cf, ngx_http_rollout_module));

    // Without our directives, nginx runs as if the module were not loaded.
    if (settings.route_used.file != nullptr) {
        auto *handler =
            static_cast<ngx_http_handler_pt *>(ngx_array_push(&core->phases[NGX_HTTP_PRECONTENT_PHASE].handlers));
        if (handler == nullptr) {
            return NGX_ERROR;
        }
        *handler = handle_route;
        ngx_array_t &log = core->phases[NGX_HTTP_LOG_PHASE].handlers;
        if (ngx_array_push(&log) == nullptr) {
            return NGX_ERROR;
        }
        // The handler goes before the access log: nginx runs this list in order.
        auto *handlers = static_cast<ngx_http_handler_pt *>(log.elts);
        std::copy_backward(handlers, handlers + log.nelts - 1, handlers + log.nelts);
        handlers[0] = log_route;

        find_route_variables(cf);
        install_route_filter();
        install_client_clocks();
        install_answer_names();
        if (settings.reads_names) {
            find_length_variable(cf);
            install_request_names();
            install_grpc_status();
        }
    }
    if (settings.api_used.file != nullptr || settings.reads_names) {
        install_error_filter();
    }
    return check_balancing(cf);
}


/// Runs in the master process after the whole configuration has been read, and also for `nginx -t`.
ngx_int_t init_module(ngx_cycle_t *cycle)
{
    const auto *settings =
        static_cast<main_settings *>(ngx_http_cycle_get_module_main_conf(cycle, ngx_http_rollout_module));
    if (settings != nullptr) {
        warn_of_denied_access(cycle, *settings);
    }
    return NGX_OK;
}


// The lifecycle of a worker process.

ngx_int_t init_process(ngx_cycle_t *cycle)
{
    if (ngx_process != NGX_PROCESS_WORKER && ngx_process != NGX_PROCESS_SINGLE) {
        return NGX_OK;
    }
    const auto *settings =
        static_cast<main_settings *>(ngx_http_cycle_get_module_main_conf(cycle, ngx_http_rollout_module));
    if (settings == nullptr || settings->zone == nullptr) {
        return NGX_OK;
    }
    return guarded_by(
        [&]() -> ngx_int_t {
            join_in_flight(*settings->zone, cycle->log);
            if (settings->link.path.len != 0) {
                begin_process_link(settings->link, *settings->zone, cycle->log, upstreams_of(cycle));
            }
            return NGX_OK;
        },
        [cycle](const std::exception &error) -> ngx_int_t {
            log_exception(cycle->log, error, NGX_LOG_EMERG);
            return NGX_ERROR;
        });
}


void exit_process(ngx_cycle_t *)
{
    end_process_link();
    leave_in_flight();
}

} // namespace
