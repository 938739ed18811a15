#include "module/handlers/route_handler.hpp"

#include "module/configuration.hpp"
#include "module/handlers/absent_model.hpp"
#include "module/handlers/grpc_status.hpp"
#include "module/handlers/request_accounting.hpp"
#include "module/handlers/request_name.hpp"
#include "module/link/process_link.hpp"
#include "module/link/worker_link.hpp"
#include "module/nginx/guard.hpp"
#include "module/nginx/response.hpp"
#include "module/zone/process_in_flight.hpp"

#include <atomic>
#include <iterator>
#include <optional>
#include <string>
#include <utility>

namespace rollout {

namespace {

/// A choice is made again if the routes changed during it. Only a route that changes continuously needs more
/// attempts.
constexpr int choice_attempts = 16;

/// How often a held request checks for routes, in milliseconds.
constexpr ngx_msec_t look_again_ms = 25;

enum class outcome : std::uint8_t { chosen, unknown_model, not_known_yet, outdated, failed };

} // namespace


/// A request's choice in a location: made once, and the same for all readers.
struct route_request {
    outcome ended = outcome::failed;
    bool answering = false; ///< the headers have been sent, or the log is being written: no more choices are made
    counted_request *counted = nullptr;
    const ngx_http_complex_value_t *directive = nullptr; ///< rollout_route's; an inherited one is the same pointer
    ngx_uint_t uri_changes = 0;                          ///< r->uri_changes at that time
    route_choice choice{};
    ngx_str_t model_id{};
    ngx_str_t part{};
    ngx_str_t key{};
    ngx_str_t preview{};
    ngx_str_t revision{};
    ngx_msec_t held_until = 0; ///< in ngx_current_msec's time; 0: it was not held
    bool has_waited = false;   ///< it has waited for rolloutd's routes as long as they were likely to come
};


namespace {

/// The context of a request that has no choice when its answer begins.
route_request no_choice = {.answering = true};

ngx_http_output_header_filter_pt header_filter_after_routes;

bool evaluate(ngx_http_request_t *r, ngx_http_complex_value_t *value, ngx_str_t &result) noexcept
{
    result = {};
    return value == nullptr || ngx_http_complex_value(r, value, &result) == NGX_OK;
}


bool evaluate_all(ngx_http_request_t *r, route_request &request) noexcept
{
    const auto &location = location_of(r);
    return evaluate(r, location.model, request.model_id) && evaluate(r, location.part, request.part) &&
           evaluate(r, location.key, request.key) && evaluate(r, location.preview, request.preview);
}


bool is_same_question(const route_request &one, const route_request &other) noexcept
{
    return view_of(one.model_id) == view_of(other.model_id) && view_of(one.part) == view_of(other.part) &&
           view_of(one.key) == view_of(other.key) && view_of(one.preview) == view_of(other.preview);
}


/// Returns a hash of the key, or of the client's address if there is no key.
std::uint64_t client_of(const ngx_http_request_t *r, const route_request &request) noexcept
{
    return request.key.len != 0 ? in_flight_key("key", view_of(request.key), 0)
                                : in_flight_key("address", view_of(r->connection->addr_text), 0);
}


/// Returns whether the request is an inference. Clients of KServe, Triton and OpenAI send inferences with POST, and
/// use GET to ask about a model: whether it is ready, what it is. nginx makes most of its subrequests GETs.
bool is_inference(ngx_http_request_t *r) noexcept
{
    if (location_of(r).name_at == name_source::grpc) {
        return view_of(r->main->uri).ends_with("Infer");
    }
    return ((r->method | r->main->method) & (NGX_HTTP_POST | NGX_HTTP_PUT | NGX_HTTP_PATCH)) != 0;
}


/// Returns the choice that a parent of this request has made for the same question in the same location: slice
/// assembles an answer from subrequests, which must all be of one revision.
const route_request *choice_above(const ngx_http_request_t *r, const route_request &asked) noexcept
{
    for (auto *above = r->parent; above != nullptr; above = above->parent) {
        // In the same location, its context is a route_request as well.
        if (ngx_http_get_module_loc_conf(above, ngx_http_rollout_module) !=
            ngx_http_get_module_loc_conf(r, ngx_http_rollout_module)) {
            continue;
        }
        const auto *chosen = static_cast<route_request *>(ngx_http_get_module_ctx(above, ngx_http_rollout_module));
        if (chosen != nullptr && chosen->ended == outcome::chosen && is_same_question(*chosen, asked)) {
            return chosen;
        }
    }
    return nullptr;
}


/// Counts the request in first, and then checks the route again: if the route changed in between, and a drain did not
/// see this request, the request must not go to a revision that is about to be unloaded.
outcome choose(ngx_http_request_t *r, route_request &request) noexcept
{
    shared_zone &zone = *main_of(r).zone;
    ngx_pool_cleanup_t *cleanup = ngx_pool_cleanup_add(r->pool, sizeof(counted_request));
    in_flight_table *flights = in_flight_of_process();
    if (cleanup == nullptr || flights == nullptr) {
        return outcome::failed;
    }
    const route_table::question asked = {view_of(request.model_id), view_of(request.part), view_of(request.key),
                                         view_of(request.preview) == "green",
                                         static_cast<unsigned>(ngx_random()) % routing_buckets};
    const auto count_in = [&](std::uint64_t revision_key, std::uint32_t in_flight_index) {
        const route_choice &choice = request.choice;
        counted_request counted;
        counted.request = r;
        counted.choice = &request;
        counted.route = &choice;
        counted.model_id = asked.model_id;
        counted.revision_key = revision_key;
        counted.in_flight_index = in_flight_index;
        counted.which = choice.which;
        counted.meter = choice.meter;
        counted.watched = choice.watched;
        counted.inference = is_inference(r);
        counted.is_grpc = location_of(r).name_at == name_source::grpc;
        counted.is_stream = counted.is_grpc && call_of(*r) == grpc_call::stream;
        if (choice.watched && counted.inference) {
            counted.model = in_flight_key(asked.model_id, asked.part, 0);
            counted.client = client_of(r, request);
        }
        request.counted = count_in_flight(cleanup, counted);
    };

    if (const auto *above = choice_above(r, request)) {
        // That request is in flight until this one has ended as well, so its revision cannot be unloaded before.
        request.choice = above->choice;
        request.revision = above->revision;
        const auto revision_key = in_flight_key(asked.model_id, asked.part, request.choice.revision);
        count_in(revision_key, flights->enter(revision_key));
        return outcome::chosen;
    }

    const auto choose_once = [&](route_choice &choice) {
        return read_records(zone, [&](record_store &records) {
            return route_table(records).choose(asked, pool_memory(r->pool), choice);
        });
    };

    // Routes from the state file may be old: they are used if the request cannot wait for rolloutd's.
    const auto *link = link_of_process();
    if (zone.routes_are_of_file() && !request.has_waited && r == r->main && link != nullptr &&
        link->may_bring_routes()) {
        return outcome::not_known_yet;
    }
    if (!zone.routes_may_be_used(ngx_current_msec)) {
        return outcome::outdated;
    }
    const bool known = zone.routes_known() || zone.routes_are_of_file();
    auto found = choose_once(request.choice);
    for (int attempt = 0; attempt < choice_attempts && found == record_store::found::yes; ++attempt) {
        const auto revision_key = in_flight_key(asked.model_id, asked.part, request.choice.revision);
        const auto in_flight_index = flights->enter(revision_key);
        std::atomic_thread_fence(std::memory_order_seq_cst);

        route_choice again;
        found = choose_once(again);
        if (found == record_store::found::yes && again.revision == request.choice.revision) {
            request.choice = again;
            count_in(revision_key, in_flight_index);

            auto *text = static_cast<u_char *>(ngx_pnalloc(r->pool, NGX_INT64_LEN));
            if (text == nullptr) {
                return outcome::failed;
            }
            request.revision = {static_cast<std::size_t>(ngx_sprintf(text, "%uL", again.revision) - text), text};
            return outcome::chosen;
        }
        flights->exit(in_flight_index);
        request.choice = again;
    }
    if (found != record_store::found::no) {
        return outcome::failed;
    }
    return known ? outcome::unknown_model : outcome::not_known_yet;
}


/// Returns false if rolloutd has not been heard of for so long that the known routes may be outdated: they are not
/// used then.
bool has_current_routes() noexcept
{
    auto *link = link_of_process();
    return link == nullptr || link->has_current_routes();
}


/// Returns the request's choice in this location, and makes it now if it has not been made. Null without
/// rollout_route here, or if out of memory.
route_request *choice_of(ngx_http_request_t *r) noexcept
{
    const auto *directive = location_of(r).model;
    if (directive == nullptr) {
        return nullptr;
    }
    if (location_of(r).name_at != name_source::elsewhere) {
        const auto *body = named_body_of(r);
        if (body == nullptr || body->name.data == nullptr) {
            return nullptr; // the name is not known yet
        }
    }
    auto *before = static_cast<route_request *>(ngx_http_get_module_ctx(r, ngx_http_rollout_module));
    if (before != nullptr &&
        (before->answering || (before->directive == directive && before->uri_changes == r->uri_changes))) {
        return before;
    }
    auto *request = make_in_pool<route_request>(r->pool);
    if (request == nullptr) {
        return nullptr;
    }
    const bool is_evaluated = evaluate_all(r, *request);
    // "rewrite ... last" keeps a request's contexts; the values show whether the question has changed.
    if (is_evaluated && before != nullptr && before->directive == directive && is_same_question(*before, *request)) {
        before->uri_changes = r->uri_changes;
        return before;
    }
    request->directive = directive;
    request->uri_changes = r->uri_changes;
    ngx_http_set_ctx(r, request, ngx_http_rollout_module);
    request->ended = !is_evaluated          ? outcome::failed
                     : has_current_routes() ? choose(r, *request)
                                            : outcome::not_known_yet;
    return request;
}


/// Returns the choice that the variables show: the one in this location, made now unless the answer has begun;
/// otherwise the newest one for which the client passed access control. Null if there is none.
const route_request *told_of(ngx_http_request_t *r) noexcept
{
    route_request *request = choice_of(r);
    if (request != nullptr && !request->answering) {
        if (request->counted != nullptr) {
            note_upstream(*request->counted);
        }
        return request;
    }
    const auto *counted = told_choice(r);
    return counted != nullptr ? counted->choice : nullptr;
}


/// Prevents variables from making a choice from here on.
void end_choosing(ngx_http_request_t *r) noexcept
{
    if (location_of(r).model == nullptr) {
        return;
    }
    if (auto *request = static_cast<route_request *>(ngx_http_get_module_ctx(r, ngx_http_rollout_module))) {
        request->answering = true;
        if (request->counted != nullptr) {
            note_upstream(*request->counted);
        }
    } else {
        ngx_http_set_ctx(r, &no_choice, ngx_http_rollout_module);
    }
}


ngx_int_t end_choosing_filter(ngx_http_request_t *r)
{
    end_choosing(r);
    return header_filter_after_routes(r);
}


void on_held(ngx_http_request_t *r);


/// Holds the request until the routes are known: rolloutd is about to send them to an nginx that has just started, or
/// taken over from another one. Holds it at most as long as an answer of rolloutd is waited for. Returns false if the
/// request is to be answered now.
bool hold_request(ngx_http_request_t *r, route_request &request) noexcept
{
    const auto *link = link_of_process();
    // A subrequest shares the events of its connection with others.
    if (r != r->main || link == nullptr || !link->may_bring_routes()) {
        return false;
    }
    if (request.held_until == 0) {
        request.held_until = ngx_current_msec + main_of(r).link.ack_timeout;
    }
    if (static_cast<ngx_msec_int_t>(request.held_until - ngx_current_msec) <= 0 ||
        ngx_handle_read_event(r->connection->read, 0) != NGX_OK) {
        return false;
    }
    // The same way as limit_req delays a request.
    r->read_event_handler = ngx_http_test_reading;
    if (r->connection->read->ready) { // a client that has closed already causes no further event
        ngx_post_event(r->connection->read, &ngx_posted_events);
    }
    r->write_event_handler = on_held;
    r->connection->write->delayed = 1;
    ngx_add_timer(r->connection->write, look_again_ms);
    return true;
}


void on_held(ngx_http_request_t *r)
{
    ngx_event_t *write = r->connection->write;
    if (write->delayed) {
        if (ngx_handle_write_event(write, 0) != NGX_OK) {
            ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        }
        return;
    }
    auto &request = *static_cast<route_request *>(ngx_http_get_module_ctx(r, ngx_http_rollout_module));
    if (!(main_of(r).zone->routes_known() && has_current_routes()) && hold_request(r, request)) {
        return;
    }
    request.has_waited = true;
    if (request.directive != nullptr) {
        request.ended = choose(r, request);
    }
    r->read_event_handler = ngx_http_block_reading;
    r->write_event_handler = ngx_http_core_run_phases;
    ngx_http_core_run_phases(r);
}


enum class field : uintptr_t { upstream, backend_model, slot, revision };


ngx_int_t read_variable(ngx_http_request_t *r, ngx_http_variable_value_t *value, uintptr_t data)
{
    const route_request *request = told_of(r);
    if (request == nullptr || request->ended != outcome::chosen) {
        value->not_found = 1;
        return NGX_OK;
    }
    std::string_view text;
    switch (static_cast<field>(data)) {
    case field::upstream:
        text = request->choice.upstream;
        break;
    case field::backend_model:
        text = request->choice.model;
        break;
    case field::slot:
        text = slot_name(request->choice.which);
        break;
    case field::revision:
        text = view_of(request->revision);
        break;
    }
    value->data = str_of(text).data;
    value->len = static_cast<unsigned>(text.size()) & 0xfffffff;
    value->valid = 1;
    value->no_cacheable = 0;
    value->not_found = 0;
    return NGX_OK;
}

constexpr struct {
    std::string_view name;
    field which;
} variables[] = {
    {"rollout_upstream", field::upstream},
    {"rollout_backend_model", field::backend_model},
    {"rollout_slot", field::slot},
    {"rollout_revision", field::revision},
};

/// Where nginx keeps the values of the variables that a directive uses.
constexpr auto no_index = static_cast<ngx_uint_t>(-1);
ngx_uint_t variable_indices[std::size(variables)];


problem problem_of(unsigned status, std::string_view detail)
{
    problem answer;
    answer.status = static_cast<int>(status);
    answer.detail = detail;
    return answer;
}


/// Returns why a request cannot carry its model's name in its body, before the body is read.
std::optional<problem> fault_of_named(ngx_http_request_t *r)
{
    if (location_of(r).name_at == name_source::grpc) {
        if (is_grpc_request(r)) {
            return std::nullopt;
        }
        return problem_of(415, "This is for gRPC: HTTP/2 with \"Content-Type: application/grpc\".");
    }
    const ngx_str_t coding = find_header(r, "Content-Encoding");
    if (coding.len == 0 || same_word(view_of(coding), "identity")) {
        return std::nullopt;
    }
    return problem_of(
        415, "The body is compressed, and the gateway has to read the model's name in it; send it uncompressed.");
}


/// Ends the request with a problem, or with a status for a gRPC client.
ngx_int_t refuse(ngx_http_request_t *r, const problem &answer, std::optional<unsigned> grpc_status = std::nullopt)
{
    if (const ngx_int_t rc = ngx_http_discard_request_body(r); rc != NGX_OK) {
        return rc;
    }
    const bool is_grpc = location_of(r).name_at == name_source::grpc && is_grpc_request(r);
    const auto http_status = static_cast<unsigned>(answer.status);
    const ngx_int_t rc =
        is_grpc ? send_grpc_status(r, grpc_status.value_or(grpc_status_of_http(http_status)), answer.detail)
                : send_problem(r, answer);
    ngx_http_finalize_request(r, rc);
    return NGX_DONE;
}


/// Begins a request that carries the name in its body: holds it until the routes are known, then reads the body.
ngx_int_t begin_named(ngx_http_request_t *r)
{
    if (auto fault = fault_of_named(r)) {
        return refuse(r, *fault);
    }
    if (r != r->main) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR; // its main request carries no name in its body, or is not that far yet
    }
    auto *waiting = static_cast<route_request *>(ngx_http_get_module_ctx(r, ngx_http_rollout_module));
    if (waiting == nullptr) {
        waiting = make_in_pool<route_request>(r->pool);
        if (waiting == nullptr) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
        ngx_http_set_ctx(r, waiting, ngx_http_rollout_module);
    }
    const bool knows_routes = main_of(r).zone->routes_known() && has_current_routes();
    if (!knows_routes && !waiting->has_waited && hold_request(r, *waiting)) {
        return NGX_AGAIN;
    }
    return read_named_body(r);
}


/// Makes sure that a location that writes no name, as another service's that stands in, or gets a copy, has the body
/// with the client's name, not with a revision's. Returns false if that is not possible.
bool is_body_of_client(ngx_http_request_t *r) noexcept
{
    const bool may_be_renamed = r->request_body != nullptr && location_of(r).name_at == name_source::elsewhere;
    const auto *body = may_be_renamed ? named_body_of(r) : nullptr;
    return body == nullptr || body->whole == nullptr || body->is_dropped || body->fault != nullptr ||
           rename_body(r, view_of(body->name));
}


/// Makes sure that the body names the chosen revision: a name written for another location or another revision is
/// rewritten. Returns false if that is not possible.
bool is_body_of(ngx_http_request_t *r, const route_request &request) noexcept
{
    const auto *body = location_of(r).name_at != name_source::elsewhere ? named_body_of(r) : nullptr;
    return body == nullptr || body->backend == request.choice.model || rename_body(r, request.choice.model);
}


ngx_int_t choose_route(ngx_http_request_t *r)
{
    if (r->uri_changes <= NGX_HTTP_MAX_URI_CHANGES) {
        leave_location(r);
    }
    if (!is_body_of_client(r)) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }
    if (location_of(r).model == nullptr) {
        return NGX_DECLINED;
    }
    if (location_of(r).name_at != name_source::elsewhere) {
        const auto *body = named_body_of(r);
        if (body == nullptr) {
            return begin_named(r);
        }
        if (body->fault != nullptr) {
            return refuse(r, problem_of(body->fault->http_status, body->fault->sentence), body->fault->grpc_status);
        }
        if (body->stream != nullptr && body->stream->status != 0) { // ended before it has a server
            return refuse(r, problem_of(NGX_HTTP_BAD_REQUEST, view_of(body->stream->sentence)), body->stream->status);
        }
    }
    route_request *request = choice_of(r);
    if (request == nullptr) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }
    if (request->ended == outcome::not_known_yet) {
        if (hold_request(r, *request)) {
            return NGX_AGAIN;
        }
        if (!std::exchange(request->has_waited, true)) {
            request->ended = choose(r, *request); // by the last known routes
        }
    }
    if (request->ended == outcome::failed) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }
    if (request->ended == outcome::chosen) {
        if (!is_body_of(r, *request)) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
        admit_to_server(*request->counted);
        return NGX_DECLINED;
    }

    problem answer;
    if (request->ended == outcome::unknown_model) {
        answer = absent_model(r, view_of(request->model_id));
    } else if (request->ended == outcome::outdated) {
        answer.status = 503;
        answer.retry_after_s = 1;
        answer.detail = outdated_routes;
    } else {
        answer.status = 503;
        answer.retry_after_s = 1;
        answer.detail = "The gateway has just started and has not yet received the models from rolloutd.";
    }
    return refuse(r, answer);
}

} // namespace


std::string_view choose_backend(ngx_http_request_t *r) noexcept
{
    return guarded(r->connection->log, std::string_view(), [r]() -> std::string_view {
        route_request *request = choice_of(r);
        if (request == nullptr) {
            return {};
        }
        if (request->ended == outcome::not_known_yet && !std::exchange(request->has_waited, true)) {
            request->ended = choose(r, *request); // by the last known routes
        }
        return request->ended == outcome::chosen ? request->choice.model : std::string_view();
    });
}


routed_names names_of(const counted_request &counted) noexcept
{
    const auto &request = *counted.choice;
    return {view_of(request.model_id), view_of(request.part), request.choice.model, request.choice.revision};
}


bool is_routed(ngx_http_request_t *r, const counted_request &counted)
{
    const auto names = names_of(counted);
    std::string memory;
    bool is_held = false;
    const auto found = read_records(*main_of(r).zone, [&](record_store &records) {
        const auto allocate = [&memory](std::size_t size) {
            memory.resize(size);
            return reinterpret_cast<unsigned char *>(memory.data());
        };
        return route_table(records).holds(names.model_id, names.part, names.revision, allocate, is_held);
    });
    return found != record_store::found::no && (found != record_store::found::yes || is_held);
}


ngx_int_t add_route_variables(ngx_conf_t *cf) noexcept
{
    for (const auto &[name, which] : variables) {
        ngx_str_t text = str_of(name);
        // nginx does not cache it: after an internal redirect, another location's rollout_route may decide the value.
        ngx_http_variable_t *variable = ngx_http_add_variable(cf, &text, NGX_HTTP_VAR_NOCACHEABLE);
        if (variable == nullptr) {
            return NGX_ERROR;
        }
        variable->get_handler = read_variable;
        variable->data = static_cast<uintptr_t>(which);
    }
    return NGX_OK;
}


void find_route_variables(ngx_conf_t *cf) noexcept
{
    const auto *core =
        static_cast<ngx_http_core_main_conf_t *>(ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module));
    const auto *indexed = static_cast<const ngx_http_variable_t *>(core->variables.elts);
    for (std::size_t i = 0; i < std::size(variables); ++i) {
        variable_indices[i] = no_index;
        for (ngx_uint_t index = 0; index < core->variables.nelts; ++index) {
            if (view_of(indexed[index].name) == variables[i].name) {
                variable_indices[i] = index;
            }
        }
    }
}


void install_route_filter() noexcept
{
    header_filter_after_routes = ngx_http_top_header_filter;
    ngx_http_top_header_filter = end_choosing_filter;
}


ngx_int_t log_route(ngx_http_request_t *r) noexcept
{
    end_choosing(r);
    // The log uses the values that were read last, which may have been empty, or another location's.
    for (const auto index : variable_indices) {
        if (index != no_index) {
            r->variables[index].valid = 0;
            r->variables[index].not_found = 0;
        }
    }
    count_results(r);
    return NGX_OK;
}


ngx_int_t handle_route(ngx_http_request_t *r) noexcept
{
    return guarded(r, [r] { return choose_route(r); });
}

} // namespace rollout
