// The routes: what a URI asks for. No nginx here.
#pragma once

#include "common/domain/task_status.hpp"
#include "common/domain/task_verb.hpp"
#include "module/api/problem.hpp"

#include <string_view>

namespace rollout {

/// What the URI after the base asks for. A view into the URI.
struct api_route {
    enum class shape { unknown, collection, task, latest, steer, models, health, readiness };

    shape is = shape::unknown;
    task_kind kind = task_kind::deploy;
    std::string_view name;              ///< a task's id, or a model's
    task_verb verb = task_verb::cancel; ///< of `steer`
};

/// `unknown` where it is none of them; the name is not checked yet.
api_route route_of(std::string_view uri) noexcept;

/// There is no such route, task or model, in a sentence that repeats a name only where it is one.
problem not_found(const api_route &route);

} // namespace rollout
