// rollout_route: the choice for a request, the variables that carry it, and the count of requests in flight.
//
// The first read of a variable on the way to the upstream makes the choice, and at the latest the handler of the precontent phase.
// A header filter, a body filter and the log make none: there the variables tell the choice that was made, also after an
// internal redirect, and nothing to a client that was refused before. A request that goes on to another location with a
// rollout_route, or to the same with other values, has another choice.
#pragma once

#include "module/nginx/ngx.hpp"

#include <cstdint>
#include <string_view>

namespace rollout {

struct counted_request;

/// Registers $rollout_upstream, $rollout_backend_model, $rollout_slot and $rollout_revision.
ngx_int_t add_route_variables(ngx_conf_t *cf) noexcept;

/// Once all directives are read: where nginx keeps a request's values of those that some directive uses.
void find_route_variables(ngx_conf_t *cf) noexcept;

/// The handler of the precontent phase: chooses, if no variable has made it choose before, and answers 404 for a model
/// that has no route. While the routes are not known yet, and rolloutd is about to bring them, the request is held. Access
/// control comes first: who may not ask learns nothing of the models.
ngx_int_t handle_route(ngx_http_request_t *r) noexcept;

/// A model's names in a request that a choice was made for.
struct routed_names {
    std::string_view model_id; ///< rollout_route's MODEL
    std::string_view part;
    std::string_view backend; ///< the revision's, on the server
    std::uint64_t revision = 0;
};

/// Whether a route still names the revision that was chosen, as blue or as green.
bool is_routed(ngx_http_request_t *r, const counted_request &counted);

routed_names names_of(const counted_request &counted) noexcept;

/// Makes the choice of a request whose name has just been read in its body, by the routes that are known: the revision's name on the
/// server. Empty: there is none, or it failed; handle_route answers that.
std::string_view choose_backend(ngx_http_request_t *r) noexcept;

/// The header filter that ends the time of choices; before all others.
void install_route_filter() noexcept;

/// The log phase's handler, before all others: makes the variables tell what was chosen, and counts the results.
ngx_int_t log_route(ngx_http_request_t *r) noexcept;

} // namespace rollout
