#include "module/directives.hpp"

#include "common/domain/limits.hpp"
#include "module/configuration.hpp"
#include "module/handlers/api_handler.hpp"
#include "module/handlers/metrics_handler.hpp"
#include "module/handlers/page_handler.hpp"
#include "module/handlers/ready_peers.hpp"
#include "module/page/page_files.hpp"

#include <algorithm>
#include <optional>
#include <string_view>
#include <utility>

#include <sys/un.h>

namespace rollout {

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


/// Returns the value of `name=value`, or nothing if the parameter has another name.
std::optional<ngx_str_t> value_of(const ngx_str_t &parameter, std::string_view name)
{
    const auto text = view_of(parameter);
    if (text.size() <= name.size() || !text.starts_with(name) || text[name.size()] != '=') {
        return std::nullopt;
    }
    return str_of(text.substr(name.size() + 1));
}


/// A location has one use only. Returns the text of nginx's error if the location already has one, else null.
char *other_use_of(const location_settings &location)
{
    const char *use = location.model != nullptr ? "is incompatible with \"rollout_route\" in one location"
                      : location.api            ? "is incompatible with \"rollout_api\" in one location"
                      : location.metrics        ? "is incompatible with \"rollout_metrics\" in one location"
                      : location.page           ? "is incompatible with \"rollout_page\" in one location"
                                                : nullptr;
    return const_cast<char *>(use);
}


constexpr char other_handler[] =
    "is incompatible with another directive that answers requests, as \"proxy_pass\" does, in one location";


/// Errors name the first context of a directive.
void note_context(ngx_conf_t *cf, directive_context &context)
{
    if (context.file == nullptr) {
        context = {cf->conf_file->file.name.data, cf->conf_file->line};
    }
}


main_settings &main_settings_of(ngx_conf_t *cf)
{
    return *static_cast<main_settings *>(ngx_http_conf_get_module_main_conf(cf, ngx_http_rollout_module));
}


char *set_name_source(ngx_conf_t *cf, location_settings &location, name_source source)
{
    if (location.name_at == source) {
        return const_cast<char *>("is duplicate");
    }
    if (location.name_at != name_source::elsewhere) {
        return const_cast<char *>(source == name_source::grpc
                                      ? "is incompatible with \"rollout_json_model\" in one location"
                                      : "is incompatible with \"rollout_grpc\" in one location");
    }
    location.name_at = source;
    note_context(cf, location.name_directive);
    main_settings_of(cf).reads_names = true;
    return NGX_CONF_OK;
}


/// Makes `handler` the content handler of the location. Returns null, or the text of nginx's error. If a directive of
/// another module comes after this one, check_handler finds it when the locations are merged.
const char *set_handler(ngx_conf_t *cf, location_settings &location, ngx_http_handler_pt handler)
{
    auto *core = static_cast<ngx_http_core_loc_conf_t *>(ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module));
    if (core->handler != nullptr) {
        return other_handler;
    }
    core->handler = handler;
    note_context(cf, location.handler_context);
    return nullptr;
}

/// Returns a value whose variables are evaluated for each request; null if the text cannot be compiled.
ngx_http_complex_value_t *compile_value(ngx_conf_t *cf, ngx_str_t text)
{
    auto *value = make_in_pool<ngx_http_complex_value_t>(cf->pool);
    ngx_http_compile_complex_value_t job = {};
    job.cf = cf;
    job.value = &text;
    job.complex_value = value;
    return value != nullptr && ngx_http_compile_complex_value(&job) == NGX_OK ? value : nullptr;
}


/// What the page puts before the API's routes is a path as it stands in a URI: no query, no other host ("//").
bool is_path_prefix(std::string_view text) noexcept
{
    const auto is_path = [](char c) {
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
               std::string_view("/-._~").find(c) != std::string_view::npos;
    };
    return text.starts_with('/') && !text.ends_with('/') && text.find("//") == std::string_view::npos &&
           std::all_of(text.begin(), text.end(), is_path);
}


const char *directive_of(const location_settings &location) noexcept
{
    return location.api ? "rollout_api" : location.metrics ? "rollout_metrics" : "rollout_page";
}

} // namespace


ngx_http_handler_pt handler_of(const location_settings &location) noexcept
{
    return location.api ? handle_api : location.metrics ? handle_metrics : location.page ? handle_page : nullptr;
}


char *check_handler(ngx_conf_t *cf, const location_settings &location, const ngx_http_core_loc_conf_t &core)
{
    const auto &context = location.handler_context;
    if (context.file == nullptr || core.handler == handler_of(location)) {
        return NGX_CONF_OK;
    }
    ngx_log_error(NGX_LOG_EMERG, cf->log, 0, "\"%s\" directive %s in %s:%ui", directive_of(location), other_handler,
                  context.file, context.line);
    return config_error();
}


char *check_name_source(ngx_conf_t *cf, const location_settings &location)
{
    const auto &used = location.name_directive;
    if (used.file == nullptr || location.model != nullptr) {
        return NGX_CONF_OK;
    }
    ngx_log_error(NGX_LOG_EMERG, cf->log, 0, "no \"rollout_route\" is defined for \"%s\" in %s:%ui",
                  location.name_at == name_source::grpc ? "rollout_grpc" : "rollout_json_model", used.file,
                  used.line);
    return config_error();
}


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
    if (char *fault = other_use_of(location)) {
        return fault;
    }
    ngx_str_t *values = arguments(cf);
    bool seen_base = false;
    bool seen_dialect = false;
    bool seen_identity = false;
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
            location.documents.words = dialect::embedding_studio;
        } else if (const auto identity = value_of(values[i], "identity");
                   identity && !std::exchange(seen_identity, true)) {
            if (view_of(*identity) != "on" && view_of(*identity) != "off") {
                return invalid(cf, values[i]);
            }
            location.documents.identity = view_of(*identity) == "on";
        } else {
            return invalid(cf, values[i]);
        }
    }

    location.api = true;
    if (const char *fault = set_handler(cf, location, handle_api)) {
        return const_cast<char *>(fault);
    }
    note_context(cf, main_settings_of(cf).api_used);
    return NGX_CONF_OK;
}


char *set_route(ngx_conf_t *cf, ngx_command_t *, void *conf)
{
    auto &location = *static_cast<location_settings *>(conf);
    if (location.model != nullptr || location.route_off) {
        return const_cast<char *>("is duplicate");
    }
    ngx_str_t *values = arguments(cf);
    if (view_of(values[1]) == "off") {
        if (cf->args->nelts > 2) {
            return invalid(cf, values[2]);
        }
        location.route_off = true;
        return NGX_CONF_OK;
    }
    if (char *fault = other_use_of(location)) {
        return fault;
    }

    if (values[1].len == 0) {
        return invalid(cf, values[1]);
    }
    location.model = compile_value(cf, values[1]);
    if (location.model == nullptr) {
        return config_error();
    }
    bool seen_names = false;
    for (ngx_uint_t i = 2; i < cf->args->nelts; ++i) {
        ngx_http_complex_value_t **member = nullptr;
        std::optional<ngx_str_t> text;
        if (const auto names = value_of(values[i], "names"); names && !std::exchange(seen_names, true)) {
            location.keeps_server_names = view_of(*names) == "server";
            if (!location.keeps_server_names && view_of(*names) != "client") {
                return invalid(cf, values[i]);
            }
            continue;
        }
        for (auto [name, to] : {std::pair{"part", &location.part}, std::pair{"key", &location.key},
                                std::pair{"preview", &location.preview}}) {
            if ((text = value_of(values[i], name))) {
                member = to;
                break;
            }
        }
        if (member == nullptr || *member != nullptr || text->len == 0) {
            return invalid(cf, values[i]);
        }
        *member = compile_value(cf, *text);
        if (*member == nullptr) {
            return config_error();
        }
    }

    note_context(cf, main_settings_of(cf).route_used);
    return NGX_CONF_OK;
}


char *set_grpc(ngx_conf_t *cf, ngx_command_t *, void *conf)
{
    return set_name_source(cf, *static_cast<location_settings *>(conf), name_source::grpc);
}


char *set_json_model(ngx_conf_t *cf, ngx_command_t *, void *conf)
{
    return set_name_source(cf, *static_cast<location_settings *>(conf), name_source::json);
}


char *set_ready(ngx_conf_t *cf, ngx_command_t *, void *conf)
{
    ngx_str_t as{};
    if (cf->args->nelts > 1) {
        const ngx_str_t &parameter = arguments(cf)[1];
        const auto block = value_of(parameter, "as");
        if (!block || block->len == 0) {
            return invalid(cf, parameter);
        }
        as = *block;
    }
    return const_cast<char *>(wrap_balancing(cf, *static_cast<ready_settings *>(conf), as));
}


char *set_metrics(ngx_conf_t *cf, ngx_command_t *, void *conf)
{
    auto &location = *static_cast<location_settings *>(conf);
    if (location.metrics) {
        return const_cast<char *>("is duplicate");
    }
    if (char *fault = other_use_of(location)) {
        return fault;
    }
    location.metrics = true;
    if (const char *fault = set_handler(cf, location, handle_metrics)) {
        return const_cast<char *>(fault);
    }
    note_context(cf, main_settings_of(cf).metrics_used);
    return NGX_CONF_OK;
}


char *set_page(ngx_conf_t *cf, ngx_command_t *, void *conf)
{
    auto &location = *static_cast<location_settings *>(conf);
    if (location.page) {
        return const_cast<char *>("is duplicate");
    }
    if (char *fault = other_use_of(location)) {
        return fault;
    }
    if (page_files().empty()) {
        return const_cast<char *>("is not available: the module was built with ROLLOUT_PAGE=OFF");
    }
    ngx_str_t *values = arguments(cf);
    for (ngx_uint_t i = 1; i < cf->args->nelts; ++i) {
        if (auto write = value_of(values[i], "write"); write && location.page_write == nullptr) {
            const auto word = view_of(*write);
            if (word != "on" && word != "off" && ngx_http_script_variables_count(&*write) == 0) {
                return invalid(cf, values[i]);
            }
            location.page_write = compile_value(cf, *write);
            if (location.page_write == nullptr) {
                return config_error();
            }
        } else if (const auto api = value_of(values[i], "api"); api && location.page_api.len == 0) {
            if (!is_path_prefix(view_of(*api))) {
                return invalid(cf, values[i]);
            }
            location.page_api = *api;
        } else {
            return invalid(cf, values[i]);
        }
    }

    location.page = true;
    if (const char *fault = set_handler(cf, location, handle_page)) {
        return const_cast<char *>(fault);
    }
    // The page's files are found beside it: a URI without the last slash is redirected, as with proxy_pass.
    auto *core = static_cast<ngx_http_core_loc_conf_t *>(ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module));
    if (view_of(core->name).ends_with('/')) {
        core->auto_redirect = 1;
    }
    return NGX_CONF_OK;
}

} // namespace rollout
