// The steps of a deployment: fetch, stage, load, ready, smoke, shift, promote, retire.
#include "worker/rollout/combine.hpp"
#include "worker/rollout/shared_work.hpp"
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
        one.model = run.plan.model;
        one.server_config = run.plan.server_config;
    }
}


operation_ptr fetch_source(task_run &run, done_fn done)
{
    return on_backend(run, ours(run), std::move(done), [&run](backend &server, done_fn then) {
        const std::string name = ours(run).model;
        const auto &artifacts = run.environment.config.artifacts;
        const fetch_request request = {run.plan.source, run.plan.sha256,     server.staging_path(name),
                                       artifacts.allow, artifacts.max_bytes, artifacts.max_files};
        // Nothing of this revision is in the repository before the next step: what has its name there is not ours.
        return in_order(run.environment.time,
                        {[&server, name](done_fn part) { return server.check_vacant(name, std::move(part)); },
                         [&run, request](done_fn part) { return run.environment.fetch(request, std::move(part)); }},
                        std::move(then));
    });
}


// stage, load, ready, smoke

void enter_stage(task_run &run)
{
    ours(run).stage_begun = true;
}


operation_ptr stage_files(task_run &run, done_fn done)
{
    return on_backend(run, ours(run), std::move(done), [&run](backend &server, done_fn then) {
        return server.stage(ours(run).model, std::move(then));
    });
}


void enter_load(task_run &run)
{
    ours(run).load_begun = true;
}


operation_ptr load_model(task_run &run, done_fn done)
{
    return load(run, ours(run), std::move(done));
}


operation_ptr prove_ready(task_run &run, done_fn done)
{
    return await_ready(run, ours(run), std::move(done));
}


bool smoke_is_configured(const task_run &run)
{
    return run.plan.rollout.smoke_request != nullptr;
}


operation_ptr smoke(task_run &run, done_fn done)
{
    return on_backend(run, ours(run), std::move(done), [&run](backend &server, done_fn then) {
        const start_fn once = [&run, &server, name = ours(run).model](done_fn part) {
            return server.infer(name, run.plan.rollout.smoke_request.get(),
                                std::chrono::seconds(run.plan.rollout.smoke_timeout_s), std::move(part));
        };
        return in_order(run.environment.time, std::vector<start_fn>(run.plan.rollout.smoke_repeat, once),
                        std::move(then));
    });
}


// promote: green becomes blue

void enter_promote(task_run &run)
{
    model &of = run.of;
    if (!is_ours(run, of.green)) {
        return; // before a crash
    }
    if (of.blue) {
        of.blue->keep_files = run.plan.rollout.old == "archive";
        (run.plan.rollout.old == "keep" ? of.kept : of.retired).push_back(*of.blue);
    }
    of.blue = std::move(of.green);
    of.green.reset();
    of.weight = 0;
    bound_kept(of, run.plan.rollout.keep_revisions);
}


// retire: the old blue, and whatever an earlier task could not take away

operation_ptr retire_old(task_run &run, done_fn done)
{
    return retire(run, run.of.retired, std::move(done));
}


// rollback: all traffic to blue, green away

void enter_rollback(task_run &run)
{
    model &of = run.of;
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
    // What never had traffic is cleared away without the gateways, of which there may be none.
    if (run.what.find_step("shift")->state == step_state::pending) {
        return take_off(run, green, std::move(done));
    }
    return in_order(run.environment.time,
                    {[&run](done_fn then) { return follow_route(run, std::move(then)); },
                     [&run, green](done_fn then) { return retire(run, green, std::move(then)); }},
                    std::move(done));
}


constexpr std::array steps = {
    run_step{"fetch", enter_fetch, fetch_source, nullptr, nullptr},
    run_step{"stage", enter_stage, stage_files, nullptr, nullptr},
    run_step{"load", enter_load, load_model, nullptr, nullptr},
    run_step{"ready", nullptr, prove_ready, nullptr, nullptr},
    run_step{"smoke", nullptr, smoke, nullptr, smoke_is_configured},
    run_step{"shift", enter_shift, shift_traffic, nullptr, nullptr},
    run_step{"promote", enter_promote, follow_route, nullptr, nullptr},
    run_step{"retire", nullptr, retire_old, nullptr, nullptr},
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
