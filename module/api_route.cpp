#include "module/api_route.hpp"

#include "common/names.hpp"

#include <string>

namespace rollout {

namespace {

std::string_view noun(task_kind kind) noexcept
{
    return kind == task_kind::deploy ? "deployment" : "deletion";
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
    const auto slash = uri.find('/', 1);
    for (const auto &[word, with_name, kind] : words) {
        if (uri.substr(0, slash) != word) {
            continue;
        }
        if (slash != std::string_view::npos) {
            const auto name = uri.substr(slash + 1);
            return {name.empty() || name.find('/') != std::string_view::npos ? api_route::shape::unknown : with_name,
                    kind, name};
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
    // Only a name that is one is repeated: what else a client sent has no place in an answer.
    if (route.is == api_route::shape::task) {
        answer.detail = "There is no " + std::string(noun(route.kind)) + " task" +
                        (is_task_id(route.name) ? " \"" + std::string(route.name) + "\"." : " of that id.");
    } else if (route.is == api_route::shape::latest) {
        answer.detail =
            "There is no " + std::string(noun(route.kind)) + " of " +
            (is_model_id(route.name) ? "model \"" + std::string(route.name) + "\"." : "a model of that name.");
    } else {
        answer.detail = "There is no such route; there are /deploy, /deploy/{task_id}, /deploy-status/{model_id}, "
                        "/delete, /delete/{task_id} and /delete-status/{model_id}.";
    }
    return answer;
}

} // namespace rollout
