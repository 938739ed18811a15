#include "worker/rollout/hooks.hpp"

#include "worker/async/combine.hpp"

#include <string_view>

namespace rollout {

namespace {

std::string body_of(const task_run &run, const placed_revision &one, const char *name)
{
    const json_ptr body = json_make_object();
    json_put(body.get(), "hook", name);
    json_put(body.get(), "task_id", run.what.task_id);
    json_put(body.get(), "model_id", run.what.model_id);
    json_put(body.get(), "revision", json_make_number(one.revision));
    json_put(body.get(), "kind", kind_name(run.what.kind));
    json_put(body.get(), "backend", one.backend);
    json_put(body.get(), "model", one.copies.front().model);
    json_put(body.get(), "config",
             run.what.config ? json_ptr(json_deep_copy(run.what.config.get())) : json_make_object());
    return json_compact(body.get());
}

} // namespace


operation_ptr run_hooks(task_run &run, const placed_revision &one, const char *name, done_fn done)
{
    const bool asks = std::string_view(name).starts_with("before_");
    const std::string body = body_of(run, one, name);
    std::vector<start_fn> parts;
    const auto configured = run.plan.rollout.hooks.find(name);
    if (configured != run.plan.rollout.hooks.end()) {
        run.note_if_unsaid();
        for (const auto &hook : configured->second) {
            parts.push_back([&run, hook, body, asks, name = std::string(name)](done_fn then) {
                const auto judge = [&run, asks, then = std::move(then)](const outcome &how) {
                    if (how || asks || how.is == outcome::kind::canceled) {
                        then(how);
                        return;
                    }
                    run.say(log_level::warning, "A hook failed, which changes nothing: " + how.detail);
                    then(outcome::ok(how.detail));
                };
                return run.environment.run_hook(name, hook, body, judge);
            });
        }
    }
    return in_order(run.environment.time, std::move(parts), std::move(done));
}

} // namespace rollout
