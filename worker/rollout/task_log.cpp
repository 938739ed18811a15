#include "worker/rollout/task_log.hpp"

namespace rollout {

void log_task(const task &of, log_level level, std::string_view message)
{
    log(level, message,
        {{"task_id", of.task_id}, {"model_id", of.model_id}, {"kind", kind_name(of.kind)}, {"step", of.step}});
}

} // namespace rollout
