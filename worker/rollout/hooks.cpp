#include "worker/rollout/hooks.hpp"

#include "worker/async/combine.hpp"
#include "worker/rollout/task_log.hpp"

#include <string_view>

namespace rollout {

namespace {

std::string body_of(const run_context &run, const served_revision &revision, const char *name)
{
    const json_ptr body = json_make_object();
    json_put(body.get(), "hook", name);
    json_put(body.get(), "task_id", run.task.task_id);
    json_put(body.get(), "model_id", run.task.model_id);
    json_put(body.get(), "revision", json_make_number(revision.revision));
    json_put(body.get(), "kind", kind_name(run.task.kind));
    json_put(body.get(), "backend", revision.backend);
    json_put(body.get(), "model", revision.copies.front().model);
    json_put(body.get(), "config",
             run.task.config ? json_ptr(json_deep_copy(run.task.config.get())) : json_make_object());
    return json_compact(body.get());
}

} // namespace


operation_ptr run_hooks(run_context &run, const served_revision &revision, const char *name, done_fn done)
{
    const bool asks = std::string_view(name).starts_with("before_");
    const std::string body = body_of(run, revision, name);
    std::vector<start_fn> parts;
    const auto configured = run.plan.rollout.hooks.find(name);
    if (configured != run.plan.rollout.hooks.end()) {
        run.writer.note_if_stale();
        for (const auto &hook : configured->second) {
            parts.push_back([&run, hook, body, asks, name = std::string(name)](done_fn then) {
                const auto judge = [&run, asks, then = std::move(then)](const outcome &result) {
                    if (result || asks || result.is == outcome::kind::canceled) {
                        then(result);
                        return;
                    }
                    log_task(run.task, log_level::warning, "A hook failed; the rollout continues: " + result.detail);
                    then(outcome::ok(result.detail));
                };
                return run.environment.run_hook(name, hook, body, judge);
            });
        }
    }
    return in_order(run.environment.time, std::move(parts), std::move(done));
}

} // namespace rollout
