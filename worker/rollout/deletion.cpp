#include "worker/rollout/deletion.hpp"

#include "worker/async/combine.hpp"
#include "worker/rollout/revision_work.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace rollout {

namespace {

void enter_unroute(run_context &run)
{
    auto &model = run.model;
    for (auto *slot : {&model.blue, &model.green, &model.incoming}) {
        if (*slot) {
            model.retired.push_back(**slot);
            slot->reset();
        }
    }
    for (auto &revision : std::exchange(model.kept, {})) {
        revision.was_kept = true;
        model.retired.push_back(std::move(revision));
    }
    model.weight = 0;
}


/// A gateway that cannot be reached may still route to the model: it is waited for, as nothing is left that could take
/// its requests.
operation_ptr follow_unroute(run_context &run, done_fn done)
{
    return follow_route(run, gateway_control::awaited::known, std::move(done));
}


operation_ptr drain_all(run_context &run, done_fn done)
{
    return for_each(run, run.model.retired, drain, std::move(done));
}


void leave_drain(run_context &run)
{
    for (auto &revision : run.model.retired) {
        revision.drained = true;
    }
}


operation_ptr unload_all(run_context &run, done_fn done)
{
    run.left_loaded.clear();
    return for_each(run, run.model.retired, unload, std::move(done));
}


void leave_unload(run_context &run)
{
    for (auto &revision : run.model.retired) {
        revision.load_begun = !revision.owing.empty();
        revision.was_kept = false; // from here on, it cannot be rolled back
    }
}


/// A revision that a server which was down may still hold stays until that server has unloaded it: the model's
/// `retired` is retried.
operation_ptr remove_all(run_context &run, done_fn done)
{
    std::vector<served_revision> gone = run.model.retired;
    std::erase_if(gone, [](const served_revision &revision) { return !revision.owing.empty(); });
    return for_each(run, gone, remove_files, std::move(done));
}


void leave_remove(run_context &run)
{
    std::erase_if(run.model.retired, [](const served_revision &revision) { return revision.owing.empty(); });
}


// rollback: gives the model its traffic back and keeps again what was kept

/// Keeps again what was kept. A revision that should be loaded but no longer is, is reloaded by the monitor.
void enter_rollback_of_deletion(run_context &run)
{
    auto &model = run.model;
    for (const auto &revision : model.retired) {
        if (revision.was_kept) {
            model.kept.push_back(revision);
            model.kept.back().was_kept = false;
            model.kept.back().drained = false;
        }
    }
    std::erase_if(model.retired, [](const auto &placed) { return placed.was_kept; });
}


const served_revision *former_blue(const run_context &run)
{
    const auto &all = run.model.retired;
    const auto found = std::ranges::find_if(
        all, [&run](const auto &placed) { return placed.revision == run.task.model_revision && placed.load_begun; });
    return found == all.end() ? nullptr : &*found;
}


/// Gives the model its traffic back before the task ends, so that a client that reads that the model serves can rely
/// on it.
operation_ptr route_back(run_context &run, done_fn done)
{
    const served_revision blue = *former_blue(run);
    std::erase_if(run.model.retired, [&blue](const auto &placed) { return placed.revision == blue.revision; });
    run.model.blue = blue;
    run.model.blue->drained = false;
    return in_order(run.environment.time,
                    {[&run](done_fn then) { return write(run, std::move(then)); },
                     [&run](done_fn then) { return follow_route_back(run, std::move(then)); }},
                    std::move(done));
}


/// Returns whether a server may have been asked to unload the model. Before that, it is loaded wherever it was: to load
/// it again could fail, for want of memory for two.
bool may_be_unloaded(run_context &run)
{
    const step_record *unload = run.task.find_step("unload");
    return unload == nullptr || unload->state != step_state::pending;
}


operation_ptr bring_back(run_context &run, done_fn done)
{
    if (run.model.blue) {
        return follow_route_back(run, std::move(done)); // written before a crash
    }
    const served_revision *blue = former_blue(run);
    if (blue == nullptr) {
        return ended(run, outcome::permanent("there is nothing left that could serve"), std::move(done));
    }
    if (!may_be_unloaded(run)) {
        return route_back(run, std::move(done));
    }
    // An unload that failed half way may have left it loaded or not; this loads it in either case.
    return in_order(run.environment.time,
                    {[&run, former = *blue](done_fn then) { return load(run, former, std::move(then)); },
                     [&run, former = *blue](done_fn then) { return await_ready(run, former, std::move(then)); },
                     [&run](done_fn then) { return route_back(run, std::move(then)); }},
                    std::move(done));
}


constexpr std::array steps_of_deletion = {
    run_step{.name = "unroute", .enter = enter_unroute, .work = follow_unroute, .waits = true},
    run_step{.name = "drain", .work = drain_all, .leave = leave_drain, .waits = true},
    run_step{.name = "unload", .work = unload_all, .leave = leave_unload},
    // A deletion whose model is unloaded is not rolled back.
    run_step{.name = "remove", .work = remove_all, .leave = leave_remove, .can_be_undone = never},
};

constexpr run_step rollback_of_deletion = {
    .name = "rollback", .enter = enter_rollback_of_deletion, .work = bring_back};

} // namespace


run_steps deletion_steps()
{
    return {steps_of_deletion, rollback_of_deletion};
}

} // namespace rollout
