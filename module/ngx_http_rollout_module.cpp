// ngx_http_rollout_module: directives, configuration, life cycle. What a request meets is in api_handler.cpp and
// route_handler.cpp, what both read in shared_zone.hpp, how it comes there in worker_link.hpp.
#include "common/limits.hpp"
#include "module/api_handler.hpp"
#include "module/configuration.hpp"
#include "module/error_filter.hpp"
#include "module/route_handler.hpp"
#include "module/route_result.hpp"

#include <algorithm>
#include <memory>
#include <optional>

#include <sys/un.h>

using namespace rollout;

namespace {

char *set_zone(ngx_conf_t *cf, ngx_command_t *command, void *conf);
char *set_worker(ngx_conf_t *cf, ngx_command_t *command, void *conf);
char *set_api(ngx_conf_t *cf, ngx_command_t *command, void *conf);
char *set_route(ngx_conf_t *cf, ngx_command_t *command, void *conf);
void *create_main(ngx_conf_t *cf);
char *init_main(ngx_conf_t *cf, void *conf);
void *create_location(ngx_conf_t *cf);
char *merge_location(ngx_conf_t *cf, void *parent, void *child);
ngx_int_t before_configuration(ngx_conf_t *cf);
ngx_int_t after_configuration(ngx_conf_t *cf);
ngx_int_t init_process(ngx_cycle_t *cycle);
void exit_process(ngx_cycle_t *cycle);

ngx_command_t commands[] = {
    {ngx_string("rollout_zone"), NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE23, set_zone, NGX_HTTP_MAIN_CONF_OFFSET, 0,
     nullptr},
    {ngx_string("rollout_worker"), NGX_HTTP_MAIN_CONF | NGX_CONF_TAKE1234, set_worker, NGX_HTTP_MAIN_CONF_OFFSET, 0,
     nullptr},
    {ngx_string("rollout_api"), NGX_HTTP_LOC_CONF | NGX_CONF_NOARGS | NGX_CONF_TAKE12, set_api,
     NGX_HTTP_LOC_CONF_OFFSET, 0, nullptr},
    {ngx_string("rollout_route"), NGX_HTTP_LOC_CONF | NGX_CONF_TAKE1234, set_route, NGX_HTTP_LOC_CONF_OFFSET, 0,
     nullptr},
    ngx_null_command,
};

ngx_http_module_t context = {
    before_configuration, after_configuration, create_main, init_main, nullptr, nullptr,
    create_location,      merge_location,
};

std::unique_ptr<worker_link> process_link;
std::optional<in_flight_table> process_in_flight;

} // namespace

extern "C" {

ngx_module_t ngx_http_rollout_module = {
    NGX_MODULE_V1,        //
    &context,             //
    commands,             //
    NGX_HTTP_MODULE,      //
    nullptr,              // init master
    nullptr,              // init module
    init_process,         //
    nullptr,              // init thread
    nullptr,              // exit thread
    exit_process,         //
    nullptr,              // exit master
    NGX_MODULE_V1_PADDING //
};

// What nginx looks for in a dynamic module's file.
__attribute__((visibility("default"))) ngx_module_t *ngx_modules[] = {&ngx_http_rollout_module, nullptr};
__attribute__((visibility("default"))) char *ngx_module_names[] = {const_cast<char *>("ngx_http_rollout_module"),
                                                                   nullptr};
__attribute__((visibility("default"))) char *ngx_module_order[] = {nullptr};

} // extern "C"


worker_link *rollout::link_of_process() noexcept
{
    return process_link.get();
}


in_flight_table *rollout::in_flight_of_process() noexcept
{
    return process_in_flight ? &*process_in_flight : nullptr;
}


namespace {

char *config_error()
{
    return static_cast<char *>(NGX_CONF_ERROR);
}


char *invalid(ngx_conf_t *cf, const ngx_str_t &parameter)
{
    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "invalid parameter \"%V\"", &parameter);
    return config_error();
}


ngx_str_t *arguments(ngx_conf_t *cf)
{
    return static_cast<ngx_str_t *>(cf->args->elts);
}


/// The value of `name=value`; nothing for another parameter.
std::optional<ngx_str_t> value_of(const ngx_str_t &parameter, std::string_view name)
{
    const auto text = view_of(parameter);
    if (text.size() <= name.size() || !text.starts_with(name) || text[name.size()] != '=') {
        return std::nullopt;
    }
    return str_of(text.substr(name.size() + 1));
}


// The life of the configuration.

void *create_main(ngx_conf_t *cf)
{
    return make_in_pool<main_settings>(cf->pool);
}


char *init_main(ngx_conf_t *cf, void *conf)
{
    const auto &settings = *static_cast<main_settings *>(conf);
    const auto require = [cf](bool there, const char *missing, const char *user, const directive_place &place) {
        if (!there && place.file != nullptr) {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0, "no \"%s\" is defined for \"%s\" in %s:%ui", missing, user,
                          place.file, place.line);
            return false;
        }
        return true;
    };
    const bool zone = settings.zone != nullptr;
    const bool worker = settings.link.path.len != 0;
    if (!require(zone, "rollout_zone", "rollout_api", settings.api_used) ||
        !require(zone, "rollout_zone", "rollout_route", settings.route_used) ||
        !require(zone, "rollout_zone", "rollout_worker", settings.worker_used) ||
        !require(worker, "rollout_worker", "rollout_api", settings.api_used) ||
        !require(worker, "rollout_worker", "rollout_route", settings.route_used)) {
        return config_error();
    }
    return NGX_CONF_OK;
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

    // "if" and "limit_except" make a location without a name inside of one: there the handler goes on.
    if (core->noname && !to.api && to.model == nullptr && from.api) {
        to.api = true;
        to.base = from.base;
        to.words = from.words;
        core->handler = handle_api;
    }
    if (!to.api && to.model == nullptr) {
        to.model = from.model;
        to.part = from.part;
        to.key = from.key;
        to.preview = from.preview;
    }
    return NGX_CONF_OK;
}


ngx_int_t before_configuration(ngx_conf_t *cf)
{
    return add_route_variables(cf);
}


ngx_int_t after_configuration(ngx_conf_t *cf)
{
    auto *core =
        static_cast<ngx_http_core_main_conf_t *>(ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module));
    const auto &settings =
        *static_cast<main_settings *>(ngx_http_conf_get_module_main_conf(cf, ngx_http_rollout_module));

    // A configuration without our directives runs as if the module were not there.
    if (settings.route_used.file != nullptr) {
        auto *handler =
            static_cast<ngx_http_handler_pt *>(ngx_array_push(&core->phases[NGX_HTTP_PRECONTENT_PHASE].handlers));
        if (handler == nullptr) {
            return NGX_ERROR;
        }
        *handler = handle_route;
        handler = static_cast<ngx_http_handler_pt *>(ngx_array_push(&core->phases[NGX_HTTP_LOG_PHASE].handlers));
        if (handler == nullptr) {
            return NGX_ERROR;
        }
        *handler = count_result;
    }
    if (settings.api_used.file != nullptr) {
        install_error_filter();
    }
    return NGX_OK;
}


// The directives.

char *set_zone(ngx_conf_t *cf, ngx_command_t *, void *conf)
{
    auto &settings = *static_cast<main_settings *>(conf);
    if (settings.zone != nullptr) {
        return const_cast<char *>("is duplicate");
    }
    ngx_str_t *values = arguments(cf);
    if (values[1].len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "invalid zone name \"%V\"", &values[1]);
        return config_error();
    }
    const ssize_t size = ngx_parse_size(&values[2]);
    if (size == NGX_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "invalid zone size \"%V\"", &values[2]);
        return config_error();
    }
    if (static_cast<std::size_t>(size) < shared_zone::min_bytes) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "zone \"%V\" is too small, it takes at least %uzk", &values[1],
                           shared_zone::min_bytes / 1024);
        return config_error();
    }

    auto *zone = make_in_pool<shared_zone>(cf->pool);
    if (zone == nullptr) {
        return config_error();
    }
    zone->name = values[1];
    zone->core = reinterpret_cast<ngx_core_conf_t *>(ngx_get_conf(cf->cycle->conf_ctx, ngx_core_module));
    if (cf->args->nelts == 4) {
        const auto state = value_of(values[3], "state");
        if (!state || state->len == 0) {
            return invalid(cf, values[3]);
        }
        zone->state_file = *state;
        if (ngx_conf_full_name(cf->cycle, &zone->state_file, 0) != NGX_OK) {
            return config_error();
        }
    }

    ngx_shm_zone_t *memory =
        ngx_shared_memory_add(cf, &values[1], static_cast<std::size_t>(size), &ngx_http_rollout_module);
    if (memory == nullptr) {
        return config_error();
    }
    if (memory->data != nullptr) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "duplicate zone \"%V\"", &values[1]);
        return config_error();
    }
    memory->init = shared_zone::init;
    memory->data = zone;
    settings.zone = zone;
    return NGX_CONF_OK;
}


char *set_worker(ngx_conf_t *cf, ngx_command_t *, void *conf)
{
    auto &settings = *static_cast<main_settings *>(conf);
    auto &link = settings.link;
    if (link.path.len != 0) {
        return const_cast<char *>("is duplicate");
    }
    ngx_str_t *values = arguments(cf);
    const auto address = view_of(values[1]);
    static constexpr std::string_view scheme = "unix:";
    if (!address.starts_with(scheme) || address.size() == scheme.size()) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "invalid address \"%V\", it must be \"unix:\" and a path",
                           &values[1]);
        return config_error();
    }
    link.path = str_of(address.substr(scheme.size()));
    if (link.path.data[0] != '/' || link.path.len >= sizeof(sockaddr_un::sun_path)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid address \"%V\", its path must be absolute and under %uz bytes", &values[1],
                           sizeof(sockaddr_un::sun_path));
        return config_error();
    }

    bool seen_ack = false;
    bool seen_reconnect = false;
    bool seen_waiting = false;
    for (ngx_uint_t i = 2; i < cf->args->nelts; ++i) {
        if (const auto waiting = value_of(values[i], "max_waiting"); waiting && !std::exchange(seen_waiting, true)) {
            const ngx_int_t clients = ngx_atoi(waiting->data, waiting->len);
            if (clients < 1 || static_cast<std::size_t>(clients) > limits::waiting_clients_most) {
                return invalid(cf, values[i]);
            }
            link.max_waiting = static_cast<std::size_t>(clients);
            continue;
        }
        const auto ack = value_of(values[i], "ack_timeout");
        auto given = ack ? ack : value_of(values[i], "reconnect");
        bool &seen = ack ? seen_ack : seen_reconnect;
        if (!given || std::exchange(seen, true)) {
            return invalid(cf, values[i]);
        }
        const ngx_int_t ms = ngx_parse_time(&*given, 0);
        if (ms == NGX_ERROR || ms == 0) {
            return invalid(cf, values[i]);
        }
        (ack ? link.ack_timeout : link.reconnect) = static_cast<ngx_msec_t>(ms);
    }
    settings.worker_used = {cf->conf_file->file.name.data, cf->conf_file->line};
    return NGX_CONF_OK;
}


char *set_api(ngx_conf_t *cf, ngx_command_t *, void *conf)
{
    auto &location = *static_cast<location_settings *>(conf);
    if (location.api) {
        return const_cast<char *>("is duplicate");
    }
    if (location.model != nullptr) {
        return const_cast<char *>("is incompatible with \"rollout_route\" in one location");
    }
    ngx_str_t *values = arguments(cf);
    bool seen_base = false;
    bool seen_dialect = false;
    for (ngx_uint_t i = 1; i < cf->args->nelts; ++i) {
        if (const auto base = value_of(values[i], "base"); base && !std::exchange(seen_base, true)) {
            const auto text = view_of(*base);
            if (!text.starts_with('/') || text.ends_with('/')) {
                return invalid(cf, values[i]);
            }
            location.base = *base;
        } else if (const auto words = value_of(values[i], "dialect"); words && !std::exchange(seen_dialect, true)) {
            if (view_of(*words) != "embedding_studio") {
                return invalid(cf, values[i]);
            }
            location.words = dialect::embedding_studio;
        } else {
            return invalid(cf, values[i]);
        }
    }

    location.api = true;
    auto *core = static_cast<ngx_http_core_loc_conf_t *>(ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module));
    core->handler = handle_api;
    auto &settings = *static_cast<main_settings *>(ngx_http_conf_get_module_main_conf(cf, ngx_http_rollout_module));
    if (settings.api_used.file == nullptr) {
        settings.api_used = {cf->conf_file->file.name.data, cf->conf_file->line};
    }
    return NGX_CONF_OK;
}


char *set_route(ngx_conf_t *cf, ngx_command_t *, void *conf)
{
    auto &location = *static_cast<location_settings *>(conf);
    if (location.model != nullptr) {
        return const_cast<char *>("is duplicate");
    }
    if (location.api) {
        return const_cast<char *>("is incompatible with \"rollout_api\" in one location");
    }
    ngx_str_t *values = arguments(cf);
    const auto compile = [cf](ngx_str_t text) -> ngx_http_complex_value_t * {
        auto *value = make_in_pool<ngx_http_complex_value_t>(cf->pool);
        ngx_http_compile_complex_value_t job = {};
        job.cf = cf;
        job.value = &text;
        job.complex_value = value;
        return value != nullptr && ngx_http_compile_complex_value(&job) == NGX_OK ? value : nullptr;
    };

    if (values[1].len == 0) {
        return invalid(cf, values[1]);
    }
    location.model = compile(values[1]);
    if (location.model == nullptr) {
        return config_error();
    }
    for (ngx_uint_t i = 2; i < cf->args->nelts; ++i) {
        ngx_http_complex_value_t **member = nullptr;
        std::optional<ngx_str_t> text;
        for (auto [name, place] : {std::pair{"part", &location.part}, std::pair{"key", &location.key},
                                   std::pair{"preview", &location.preview}}) {
            if ((text = value_of(values[i], name))) {
                member = place;
                break;
            }
        }
        if (member == nullptr || *member != nullptr || text->len == 0) {
            return invalid(cf, values[i]);
        }
        *member = compile(*text);
        if (*member == nullptr) {
            return config_error();
        }
    }

    auto &settings = *static_cast<main_settings *>(ngx_http_conf_get_module_main_conf(cf, ngx_http_rollout_module));
    if (settings.route_used.file == nullptr) {
        settings.route_used = {cf->conf_file->file.name.data, cf->conf_file->line};
    }
    return NGX_CONF_OK;
}


// The life of a worker process.

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
    try {
        process_in_flight.emplace(settings->zone->in_flight);
        if (!process_in_flight->join(ngx_pid, is_alive)) {
            ngx_log_error(
                NGX_LOG_WARN, cycle->log, 0,
                "rollout: zone \"%V\" keeps counts for %uz processes and all are in use; drains may take longer",
                &settings->zone->name, process_in_flight->processes());
        }
        if (settings->link.path.len != 0) {
            process_link = std::make_unique<worker_link>(settings->link, *settings->zone, cycle->log);
        }
    } catch (const std::exception &error) {
        ngx_log_error(NGX_LOG_EMERG, cycle->log, 0, "rollout: %s", error.what());
        return NGX_ERROR;
    }
    return NGX_OK;
}


void exit_process(ngx_cycle_t *)
{
    process_link.reset();
    if (process_in_flight) {
        process_in_flight->leave();
    }
}

} // namespace
