#include "worker/rollout/task_plan.hpp"

#include "worker/config/model_overrides.hpp"
#include "worker/rollout/plan_report.hpp"

#include <algorithm>
#include <set>
#include <vector>

namespace rollout {

namespace {

/// Returns the backends that the task works on: those of the revision that a deployment brings or brings back, or
/// those of every revision of a model that is deleted.
std::set<std::string> backends_at_work(const run_context &run)
{
    std::set<std::string> names;
    const bool deploys = run.task.kind == task_kind::deploy;
    if (deploys && run.task.rollback_to == 0) {
        names.insert(run.plan.backend);
    }
    const auto add = [&](const served_revision &revision) {
        if (!deploys || revision.revision == run.task.rollback_to) {
            names.insert(revision.backend);
        }
    };
    for (const auto *placed : {&run.model.blue, &run.model.green, &run.model.incoming}) {
        if (*placed) {
            add(**placed);
        }
    }
    std::ranges::for_each(run.model.kept, add);
    std::ranges::for_each(run.model.retired, add);
    return names;
}

} // namespace


std::string task_plan::make()
{
    const settings &config = run_.environment.config;
    const auto &task = run_.task;
    if (task.kind != task_kind::deploy) {
        run_.plan.rollout = rollout_of(config, task.model_id);
        return {};
    }
    std::vector<json_fault> faults;
    run_.plan =
        plan_deployment(config, task.model_id, task.model_revision, task.config.get(), faults, plan_for::accepted);
    return faults.empty() ? ""
                          : "rolloutd's configuration no longer fits this task: " + faults.front().pointer + " " +
                                faults.front().detail + ".";
}


void task_plan::show()
{
    plan_view view = {
        run_.task.kind, run_.plan, run_.model.blue.has_value() && run_.task.rollback_to == 0, {}, last_minute_};
    const auto &backends = run_.environment.config.backends;
    for (const auto &name : backends_at_work(run_)) {
        if (const auto known = backends.find(name); known != backends.end()) {
            view.servers.push_back(&known->second);
        }
    }
    run_.task.plan = share(plan_report(view));
}


void task_plan::ask_for_traffic()
{
    if (!run_.plan.rollout.gate || !run_.model.blue || run_.task.rollback_to != 0 ||
        run_.task.kind != task_kind::deploy) {
        return;
    }
    const served_revision &blue = *run_.model.blue;
    question_ = run_.environment.gateways.measure(
        run_.model.model_id, blue.parts(), {blue.revision}, [this](const gateway_control::measured &answer) {
            for (const auto &[_, gateway] : answer) {
                if (gateway.last_minute) {
                    last_minute_ = last_minute_.value_or(0) + *gateway.last_minute;
                }
            }
            if (last_minute_) {
                show();
                run_.writer.note();
            }
        });
}

} // namespace rollout
