// The steps of a deployment: fetch, stage, load, ready, smoke, shift, promote, retire.
#include "worker/async/combine.hpp"
#include "worker/rollout/fetch_step.hpp"
#include "worker/rollout/hooks.hpp"
#include "worker/rollout/revision_work.hpp"
#include "worker/rollout/shift.hpp"

#include <algorithm>
#include <array>

namespace rollout {

namespace {

bool is_ours(const task_run &run, const std::optional<placed_revision> &place)
{
    return place && place->revision == run.what.model_revision;
}


/// The revision that this task brings, wherever it stands by now.
placed_revision &ours(task_run &run)
{
    return is_ours(run, run.of.incoming) ? *run.of.incoming
           : is_ours(run, run.of.green)  ? *run.of.green
                                         : *run.of.blue;
}


// fetch

void enter_fetch(task_run &run)
{
    if (!is_ours(run, run.of.incoming)) {
        placed_revision &one = run.of.incoming.emplace();
        one.revision = run.what.model_revision;
        one.backend = run.plan.backend;
        one.upstream = run.environment.config.backends.at(run.plan.backend).upstream;
        for (const auto &copy : run.plan.copies) {
            one.copies.push_back(copy.placed);
        }
    }
}


operation_ptr fetch_files(task_run &run, done_fn done)
{
    return fetch_source(run, ours(run), std::move(done));
}


/// A revision that was kept needs no fetching and no staging.
bool brings_files(const task_run &run)
{
    return run.what.rollback_to == 0;
}


void bring_kept(task_run &run)
{
    auto &kept = run.of.kept;
    const auto at =
        std::ranges::find_if(kept, [&run](const auto &one) { return one.revision == run.what.rollback_to; });
    if (at != kept.end()) {
        run.of.incoming = *at;
        run.of.incoming->keep_files = true; // whatever becomes of this, it can be gone back to again
        kept.erase(at);
    }
}


// stage, load, ready, smoke

void enter_stage(task_run &run)
{
    ours(run).stage_begun = true;
}


operation_ptr stage_files(task_run &run, done_fn done)
{
    const auto stage = [](backend &server, const server_model &model, const placed_copy &, done_fn then) {
        return server.stage(model, std::move(then));
    };
    return in_order(run.environment.time,
                    {[&run](done_fn then) { return run_hooks(run, ours(run), "before_stage", std::move(then)); },
                     [&run, stage](done_fn then) { return on_copies(run, ours(run), std::move(then), stage); }},
                    std::move(done));
}


void enter_load(task_run &run)
{
    bring_kept(run);
    ours(run).load_begun = true;
}


operation_ptr load_model(task_run &run, done_fn done)
{
    return load(run, ours(run), std::move(done));
}


bool smoke_is_configured(const task_run &run)
{
    return run.plan.rollout.smoke_request != nullptr;
}


/// `shift` begins with the route's first weight, `promote` with the new route: who is to be asked before is asked at the end of
/// the work that comes before.
start_fn hooks_of(task_run &run, const char *name)
{
    return [&run, name](done_fn then) { return run_hooks(run, ours(run), name, std::move(then)); };
}


/// The last moment before traffic moves: can every gateway go where the revision is?
operation_ptr check_gateways(task_run &run, done_fn done)
{
    auto objection = run.environment.gateways.objection_to(ours(run).upstream);
    return ended(run, objection.empty() ? outcome::ok() : outcome::permanent(std::move(objection)), std::move(done));
}


operation_ptr prove_ready(task_run &run, done_fn done)
{
    std::vector<start_fn> parts = {[&run](done_fn then) { return await_ready(run, ours(run), std::move(then)); },
                                   [&run](done_fn then) { return check_gateways(run, std::move(then)); }};
    if (!smoke_is_configured(run)) {
        parts.push_back(hooks_of(run, "before_shift"));
    }
    return in_order(run.environment.time, std::move(parts), std::move(done));
}


operation_ptr smoke(task_run &run, done_fn done)
{
    const auto infer = [&run](backend &server, const server_model &model, const placed_copy &, done_fn then) {
        const start_fn once = [&run, &server, model](done_fn part) {
            return server.infer(model, run.plan.rollout.smoke_request.get(),
                                std::chrono::seconds(run.plan.rollout.smoke_timeout_s), std::move(part));
        };
        return in_order(run.environment.time, std::vector<start_fn>(run.plan.rollout.smoke_repeat, once),
                        std::move(then));
    };
    const start_fn test = [&run, infer](done_fn then) {
        const auto limit = std::chrono::seconds(run.plan.rollout.smoke_timeout_s * run.plan.rollout.smoke_repeat);
        return while_server_works(
            run, ours(run), "answer the smoke test of", limit,
            [&run, infer](done_fn end) { return on_copies(run, ours(run), std::move(end), infer); }, std::move(then));
    };
    return in_order(run.environment.time, {test, hooks_of(run, "before_shift")}, std::move(done));
}


// shift

/// A hook that is asked again finds the weights held: what the gate has seen of them stands.
operation_ptr shift_once(task_run &run, done_fn done)
{
    if (run.shifted) {
        return ended(run, outcome::ok(*run.shifted), std::move(done));
    }
    return shift_traffic(run, [&run, done = std::move(done)](const outcome &how) {
        if (how) {
            run.shifted = how.detail;
            // As setWeight of Argo Rollouts: the last step need not be 100 %.
            if (const auto last = run.of.weight; last != 100) {
                run.shifted = *run.shifted + (run.shifted->empty() ? "" : "; ") + "after the last step, of " +
                              std::to_string(last) + " %, the promotion brings all traffic";
            }
        }
        done(how ? outcome::ok(*run.shifted) : how);
    });
}


operation_ptr shift_to_the_end(task_run &run, done_fn done)
{
    return in_order(
        run.environment.time,
        {[&run](done_fn then) { return shift_once(run, std::move(then)); }, hooks_of(run, "before_promote")},
        std::move(done));
}


// promote: green becomes blue

void enter_promote(task_run &run)
{
    model &of = run.of;
    if (!is_ours(run, of.green)) {
        return; // before a crash
    }
    run.what.promote_asked = false; // it was for the last hold
    if (of.blue) {
        note_leaving(of);
        of.blue->keep_files = run.plan.rollout.old == "archive";
        of.former = run.plan.rollout.watch_s == 0 ? 0 : of.blue->revision;
        (run.plan.rollout.old == "keep" ? of.kept : of.retired).push_back(*of.blue);
    }
    of.blue = std::move(of.green);
    of.green.reset();
    of.weight = 0;
    run.what.traffic_weight = 100;
    bound_kept(of, run.plan.rollout.keep_revisions);
}


void leave_promote(task_run &run)
{
    run.of.former = 0;
    run.what.promote_asked = false; // it was for the watch
}


// retire: the old blue, and whatever an earlier task could not take away

operation_ptr retire_old(task_run &run, done_fn done)
{
    return in_order(run.environment.time,
                    {hooks_of(run, "after_promote"),
                     [&run](done_fn then) { return for_each(run, run.of.retired, drain, std::move(then)); },
                     [&run](done_fn then) {
                         return run.of.retired.empty() ? ended(run, outcome::ok(), std::move(then))
                                                       : run.take_place(std::move(then));
                     },
                     [&run](done_fn then) { return take_off(run, run.of.retired, std::move(then)); }},
                    std::move(done));
}


// rollback: all traffic to blue, green away

/// From the watch after a promotion: the old blue is still loaded.
void take_former_back(model &of)
{
    for (auto *list : {&of.retired, &of.kept}) {
        const auto at = std::ranges::find_if(*list, [&of](const auto &one) { return one.revision == of.former; });
        if (at != list->end()) {
            of.retired.push_back(*std::exchange(of.blue, *at));
            std::erase_if(*list, [&of](const auto &one) { return one.revision == of.blue->revision; });
            of.blue->keep_files = false;
            break;
        }
    }
    of.former = 0;
}


void enter_rollback(task_run &run)
{
    model &of = run.of;
    if (of.former != 0 && is_ours(run, of.blue)) {
        take_former_back(of);
    }
    for (auto *place : {&of.green, &of.incoming}) {
        if (is_ours(run, *place)) {
            of.retired.push_back(**place);
            place->reset();
        }
    }
    of.weight = 0;
    run.what.traffic_weight = 0;
}


operation_ptr roll_back(task_run &run, done_fn done)
{
    std::vector<placed_revision> green;
    std::copy_if(run.of.retired.begin(), run.of.retired.end(), std::back_inserter(green),
                 [&run](const auto &one) { return one.revision == run.what.model_revision; });
    std::vector<start_fn> parts;
    // What never had traffic is cleared away without the gateways, of which there may be none.
    const step_record *shift = run.what.find_step("shift");
    if (shift == nullptr ? green.empty() : shift->state == step_state::pending) {
        parts = {[&run, green](done_fn then) { return take_off(run, green, std::move(then)); }};
    } else {
        parts = {[&run](done_fn then) { return follow_route_back(run, std::move(then)); },
                 [&run, green](done_fn then) { return retire(run, green, std::move(then)); }};
    }
    if (!green.empty()) {
        parts.push_back([&run, one = green.front()](done_fn then) {
            return run_hooks(run, one, "after_rollback", std::move(then));
        });
    }
    return in_order(run.environment.time, std::move(parts), std::move(done));
}


constexpr std::array steps = {
    run_step{"fetch", enter_fetch, fetch_files, nullptr, brings_files},
    run_step{"stage", enter_stage, stage_files, nullptr, brings_files},
    run_step{"load", enter_load, load_model, nullptr, nullptr},
    run_step{"ready", nullptr, prove_ready, nullptr, nullptr},
    run_step{"smoke", nullptr, smoke, nullptr, smoke_is_configured},
    run_step{"shift", enter_shift, shift_to_the_end, nullptr, nullptr, true},
    run_step{"promote", enter_promote, promote_and_watch, leave_promote, nullptr, true},
    run_step{"retire", nullptr, retire_old, nullptr, nullptr, true},
};

constexpr run_step rollback = {"rollback", enter_rollback, roll_back, nullptr, nullptr};

} // namespace


std::span<const run_step> deployment_steps()
{
    return steps;
}


const run_step &deployment_rollback()
{
    return rollback;
}

} // namespace rollout
