// The steps of a deletion: unroute, drain, unload, remove. It takes away all that stands of a model: what serves, what was
// kept, and what an earlier task had to leave.
#include "worker/async/combine.hpp"
#include "worker/rollout/revision_work.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace rollout {

namespace {

void enter_unroute(task_run &run)
{
    model &of = run.of;
    for (auto *place : {&of.blue, &of.green, &of.incoming}) {
        if (*place) {
            of.retired.push_back(**place);
            place->reset();
        }
    }
    for (auto &one : std::exchange(of.kept, {})) {
        one.was_kept = true;
        of.retired.push_back(std::move(one));
    }
    of.weight = 0;
}


operation_ptr drain_all(task_run &run, done_fn done)
{
    return for_each(run, run.of.retired, drain, std::move(done));
}


operation_ptr unload_all(task_run &run, done_fn done)
{
    return for_each(run, run.of.retired, unload, std::move(done));
}


void leave_unload(task_run &run)
{
    for (auto &one : run.of.retired) {
        one.load_begun = false;
        one.was_kept = false; // there is no way back from here
    }
}


operation_ptr remove_all(task_run &run, done_fn done)
{
    return for_each(run, run.of.retired, remove_files, std::move(done));
}


void leave_remove(task_run &run)
{
    run.of.retired.clear();
}


// rollback: the model back into the traffic, and what was kept kept again

/// One that is to be loaded, and is not any more, is the watch's to load again.
void enter_rollback(task_run &run)
{
    model &of = run.of;
    for (const auto &one : of.retired) {
        if (one.was_kept) {
            of.kept.push_back(one);
            of.kept.back().was_kept = false;
        }
    }
    std::erase_if(of.retired, [](const auto &one) { return one.was_kept; });
}


const placed_revision *former_blue(const task_run &run)
{
    const auto &all = run.of.retired;
    const auto at = std::find_if(all.begin(), all.end(), [&run](const auto &one) {
        return one.revision == run.what.model_revision && one.load_begun;
    });
    return at == all.end() ? nullptr : &*at;
}


/// The model serves again before the task is over: who reads that it does shall find it so.
operation_ptr route_back(task_run &run, done_fn done)
{
    const placed_revision one = *former_blue(run);
    std::erase_if(run.of.retired, [&one](const auto &other) { return other.revision == one.revision; });
    run.of.blue = one;
    return in_order(run.environment.time,
                    {[&run](done_fn then) { return write(run, std::move(then)); },
                     [&run](done_fn then) { return follow_route_back(run, std::move(then)); }},
                    std::move(done));
}


operation_ptr bring_back(task_run &run, done_fn done)
{
    if (run.of.blue) {
        return follow_route_back(run, std::move(done)); // before a crash
    }
    const placed_revision *blue = former_blue(run);
    if (blue == nullptr) {
        return ended(run, outcome::permanent("there is nothing left that could serve"), std::move(done));
    }
    // An unload that failed half way may have left it loaded or not; loading it makes it so either way.
    return in_order(run.environment.time,
                    {[&run, one = *blue](done_fn then) { return load(run, one, std::move(then)); },
                     [&run, one = *blue](done_fn then) { return await_ready(run, one, std::move(then)); },
                     [&run](done_fn then) { return route_back(run, std::move(then)); }},
                    std::move(done));
}


constexpr std::array steps = {
    run_step{"unroute", enter_unroute, follow_route, nullptr, nullptr, true},
    run_step{"drain", nullptr, drain_all, nullptr, nullptr, true},
    run_step{"unload", nullptr, unload_all, leave_unload, nullptr},
    run_step{"remove", nullptr, remove_all, leave_remove, nullptr},
};

constexpr run_step rollback = {"rollback", enter_rollback, bring_back, nullptr, nullptr};

} // namespace


std::span<const run_step> deletion_steps()
{
    return steps;
}


const run_step &deletion_rollback()
{
    return rollback;
}

} // namespace rollout
