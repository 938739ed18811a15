// rollout_route: makes the choice for a request, provides the variables that carry it, and counts requests in flight.
//
// The first read of a variable on the way to the upstream makes the choice; the handler of the precontent phase makes
// it at the latest. Header filters, body filters and the log make no choice: there, the variables show the choice
// that was made, also after an internal redirect, and are empty for a client that was refused before. A request that
// moves on to another location with a rollout_route, or to the same one with other values, gets another choice.
#pragma once

#include "module/nginx/ngx.hpp"

#include <cstdint>
#include <string_view>

namespace rollout {

struct counted_request;

/// Registers $rollout_upstream, $rollout_backend_model, $rollout_slot and $rollout_revision.
ngx_int_t add_route_variables(ngx_conf_t *cf) noexcept;

/// Finds, after all directives have been read, where nginx keeps the values of the variables that a directive uses.
void find_route_variables(ngx_conf_t *cf) noexcept;

/// The handler of the precontent phase: makes the choice, unless a variable has already caused it to be made, and
/// answers 404 for a model that has no route. Holds the request while the routes are not known and rolloutd is about
/// to send them. Access control comes first: a client without access learns nothing about the models.
ngx_int_t handle_route(ngx_http_request_t *r) noexcept;

/// What a client is told whose request is not routed because the routes may be used no more (`routes_until`).
inline constexpr std::string_view outdated_routes = "rolloutd has had no news of the cluster for so long that what "
                                                    "this gateway routes to may be unloaded by now. Nothing is "
                                                    "routed until it has; its log says what is wrong.";

/// The names of a model in a request for which a choice was made.
struct routed_names {
    std::string_view model_id; ///< rollout_route's MODEL
    std::string_view part;
    std::string_view backend; ///< the revision's name on the server
    std::uint64_t revision = 0;
};

/// Returns whether a route still names the chosen revision, as blue or as green.
bool is_routed(ngx_http_request_t *r, const counted_request &counted);

routed_names names_of(const counted_request &counted) noexcept;

/// Makes the choice for a request whose name has just been read from its body, by the known routes. Returns the
/// revision's name on the server, or an empty name if there is no route or the choice failed; handle_route answers
/// that.
std::string_view choose_backend(ngx_http_request_t *r) noexcept;

/// Installs the header filter, before all others, after which no more choices are made.
void install_route_filter() noexcept;

/// The log phase's handler, before all others: sets the variables to what was chosen, and counts the results.
ngx_int_t log_route(ngx_http_request_t *r) noexcept;

} // namespace rollout
