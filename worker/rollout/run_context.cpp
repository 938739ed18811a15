#include "worker/rollout/run_context.hpp"

#include <chrono>
#include <utility>

namespace rollout {

run_context::run_context(run_environment &with, rollout::task to_run, rollout::model &its_model, run_control run)
    : environment(with), task(std::move(to_run)), model(its_model),
      limit(with.time, std::chrono::seconds(with.config.limits.time_limit_s),
            std::chrono::milliseconds(task.elapsed_ms), run.end_work),
      routes(with.gateways, its_model), writer(with.journal, with.time, limit, task, its_model),
      permit(with.permits, with.time, limit, writer, task),
      steering(task, writer,
               {.can_be_undone = std::move(run.can_be_undone),
                .is_shifted = [this] { return shifted.has_value(); },
                .end_work = std::move(run.end_work)})
{
    writer.on_durable = [this](std::uint64_t revision) { routes.publish(revision); };
    writer.on_waits_changed = with.waits_changed;
    writer.on_given_up = std::move(run.given_up);
    writer.on_lost = std::move(run.lost);
}


bool is_ours(const run_context &run, const std::optional<served_revision> &revision)
{
    return revision && revision->revision == run.task.model_revision;
}

} // namespace rollout
