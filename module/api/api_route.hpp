// The routes of the API: what a URI asks for. Independent of nginx.
#pragma once

#include "common/domain/task_status.hpp"
#include "common/domain/task_verb.hpp"
#include "module/api/problem.hpp"

#include <string_view>

namespace rollout {

/// The part of the URI after the base, parsed. Holds views into the URI.
struct api_route {
    enum class shape {
        unknown,
        collection,
        task,
        latest,
        steer,
        series,
        models,
        health,
        readiness,
        description,
        events,      ///< of all tasks and routes
        task_events, ///< of one task
    };

    shape is = shape::unknown;
    task_kind kind = task_kind::deploy;
    std::string_view name;              ///< a task_id, or a model_id
    task_verb verb = task_verb::cancel; ///< set for `steer`
};

/// Returns `unknown` if the URI matches no route. Does not check the name.
api_route route_of(std::string_view uri) noexcept;

/// Returns a 404 whose sentence says which route, task or model does not exist. It repeats a name only if the name is
/// valid.
problem not_found(const api_route &route);

} // namespace rollout
