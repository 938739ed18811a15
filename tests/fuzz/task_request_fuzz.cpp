// The body of POST /deploy and /delete, with an Idempotency-Key, and the URI. Input: a byte that chooses the kind and whether
// there is a key, the key, the URI, the body.
#include "tests/fuzz/fuzzing.hpp"

#include "common/domain/identifiers.hpp"
#include "common/domain/limits.hpp"
#include "module/api/api_route.hpp"
#include "module/api/task_request.hpp"

using namespace rollout;

namespace {

void check_problem(const problem &refused)
{
    always(refused.status == 400 || refused.status == 422, "a body is refused as 400 or 422");
    always(!refused.detail.empty(), "a problem has a sentence");
    const auto text = refused.to_json();
    always(is_whole_json(text), "a problem is JSON");
    always(text.size() < 64 * 1024, "a problem does not send back what was sent, at any length");
    for (const auto &one : refused.errors) {
        always(one.pointer.empty() || one.pointer.front() == '/', "an error points into the body");
        always(!one.detail.empty(), "an error has a sentence");
    }
}


void check_request(task_kind kind, const task_request &taken)
{
    always(taken.kind == kind, "a task is of the kind that was asked for");
    always(is_model_id(taken.model_id), "an accepted model_id obeys the pattern");
    always(is_task_id(taken.task_id), "an accepted task_id obeys the pattern");
    always(taken.parent_id.empty() || is_task_id(taken.parent_id), "an accepted parent_id obeys the pattern");
    always(taken.config.size() <= limits::config_bytes, "a config is within its bound");
    json_error_t error;
    const json_ptr config = json_read(taken.config, JSON_REJECT_DUPLICATES, error);
    always(json_is_object(config.get()), "a config is an object without a NUL");
    always(taken.config.find_first_of("\t\n") == std::string::npos, "a config fits a line");

    // Asked again with what was understood, it is understood as the same.
    json_ptr again(json_object());
    json_put(again.get(), "model_id", taken.model_id);
    json_put(again.get(), "task_id", taken.task_id);
    if (!taken.parent_id.empty()) {
        json_put(again.get(), "parent_id", taken.parent_id);
    }
    json_put(again.get(), "config", json_share(config.get()));
    const auto second = parse_task_request(kind, json_compact(again.get()), std::nullopt);
    const auto *same = std::get_if<task_request>(&second);
    always(same != nullptr, "what was understood can be asked for again");
    always(same->model_id == taken.model_id && same->task_id == taken.task_id && same->parent_id == taken.parent_id &&
               same->config == taken.config,
           "what was understood, written and read, is the same");
}

} // namespace


extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size)
{
    pieces input(data, size);
    const auto choice = input.byte();
    const auto kind = (choice & 1) != 0 ? task_kind::remove : task_kind::deploy;
    const auto key = input.text();
    const auto uri = input.text();
    const auto body = input.rest();

    const auto route = route_of(uri);
    always(route.name.empty() || uri.find(route.name) != std::string_view::npos, "a route's name is of its URI");
    always(route.is != api_route::shape::steer || !route.name.empty(), "a word goes to a task");
    const auto unknown = not_found(route);
    always(unknown.status == 404 && is_whole_json(unknown.to_json()), "what is not found is told in JSON");

    const auto taken =
        parse_task_request(kind, body, (choice & 2) != 0 ? std::optional<std::string_view>(key) : std::nullopt);
    if (const auto *refused = std::get_if<problem>(&taken)) {
        check_problem(*refused);
    } else {
        check_request(kind, std::get<task_request>(taken));
    }
    return 0;
}
