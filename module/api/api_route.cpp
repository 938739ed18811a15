#include "module/api/api_route.hpp"

#include "common/domain/identifiers.hpp"

#include <string>

namespace rollout {

namespace {

std::string_view noun(task_kind kind) noexcept
{
    return kind == task_kind::deploy ? "deployment" : "deletion";
}

/// Parses what follows the first segment: a name, a task's id and a verb, or a task's id and "events".
api_route named(api_route::shape with_name, task_kind kind, std::string_view rest) noexcept
{
    const auto slash = rest.find('/');
    if (slash == std::string_view::npos) {
        return {rest.empty() ? api_route::shape::unknown : with_name, kind, rest};
    }
    const bool of_task = with_name == api_route::shape::task && slash != 0;
    if (of_task && kind == task_kind::deploy && rest.substr(slash + 1) == "series") {
        return {api_route::shape::series, kind, rest.substr(0, slash)};
    }
    if (of_task && rest.substr(slash + 1) == "events") {
        return {api_route::shape::task_events, kind, rest.substr(0, slash)};
    }
    const auto verb = task_verb_from(rest.substr(slash + 1));
    // A deletion has no traffic to hold, and nothing to roll back to.
    const bool fits =
        verb && of_task && (kind == task_kind::deploy || *verb == task_verb::cancel || *verb == task_verb::retry);
    return fits ? api_route{api_route::shape::steer, kind, rest.substr(0, slash), *verb} : api_route{};
}

} // namespace


api_route route_of(std::string_view uri) noexcept
{
    static constexpr struct {
        std::string_view word;
        api_route::shape with_name;
        task_kind kind;
    } words[] = {
        {"/deploy", api_route::shape::task, task_kind::deploy},
        {"/delete", api_route::shape::task, task_kind::remove},
        {"/deploy-status", api_route::shape::latest, task_kind::deploy},
        {"/delete-status", api_route::shape::latest, task_kind::remove},
    };
    static constexpr struct {
        std::string_view uri;
        api_route::shape is;
    } plain[] = {
        {"/models", api_route::shape::models},
        {"/events", api_route::shape::events},
        {"/healthz", api_route::shape::health},
        {"/readyz", api_route::shape::readiness},
        {"/openapi.json", api_route::shape::description},
    };
    for (const auto &[whole, is] : plain) {
        if (uri == whole) {
            return {is, task_kind::deploy, {}};
        }
    }
    const auto slash = uri.find('/', 1);
    for (const auto &[word, with_name, kind] : words) {
        if (uri.substr(0, slash) != word) {
            continue;
        }
        if (slash != std::string_view::npos) {
            return named(with_name, kind, uri.substr(slash + 1));
        }
        return {
            with_name == api_route::shape::task ? api_route::shape::collection : api_route::shape::unknown, kind, {}};
    }
    return {};
}


problem not_found(const api_route &route)
{
    problem answer;
    answer.status = 404;
    // Only a valid name is repeated: other text from a client does not belong in an answer.
    if (route.is == api_route::shape::task || route.is == api_route::shape::steer ||
        route.is == api_route::shape::task_events || route.is == api_route::shape::series) {
        answer.detail = "There is no " + std::string(noun(route.kind)) + " task" +
                        (is_task_id(route.name) ? " \"" + std::string(route.name) + "\"." : " of that id.");
    } else if (route.is == api_route::shape::latest) {
        answer.detail =
            "There is no " + std::string(noun(route.kind)) + " of " +
            (is_model_id(route.name) ? "model \"" + std::string(route.name) + "\"." : "a model of that name.");
    } else {
        answer.detail =
            "There is no such route; there are /deploy, /deploy/{task_id}, /deploy-status/{model_id}, "
            "/delete, /delete/{task_id}, /delete-status/{model_id}, /models, /events, /deploy/{task_id}/events, "
            "/delete/{task_id}/events, /deploy/{task_id}/series, /healthz, /readyz and /openapi.json, and "
            "POST /deploy/{task_id}/cancel, retry, promote, pause, resume and rollback.";
    }
    return answer;
}

} // namespace rollout
