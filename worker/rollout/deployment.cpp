#include "worker/rollout/deployment.hpp"

#include "worker/async/combine.hpp"
#include "worker/config/backend_servers.hpp"
#include "worker/rollout/fetch_step.hpp"
#include "worker/rollout/hooks.hpp"
#include "worker/rollout/revision_work.hpp"
#include "worker/rollout/shift.hpp"

#include <algorithm>
#include <array>
#include <iterator>
#include <memory>

namespace rollout {

namespace {

/// Returns the revision that this task brings, wherever it is in the model by now.
served_revision &ours(run_context &run)
{
    return is_ours(run, run.model.incoming) ? *run.model.incoming
           : is_ours(run, run.model.green)  ? *run.model.green
                                            : *run.model.blue;
}


// fetch

void enter_fetch(run_context &run)
{
    if (!is_ours(run, run.model.incoming)) {
        served_revision &revision = run.model.incoming.emplace();
        revision.revision = run.task.model_revision;
        revision.backend = run.plan.backend;
        revision.upstream = run.environment.config.backends.at(run.plan.backend).upstream;
        for (const auto &copy : run.plan.copies) {
            revision.copies.push_back(copy.placed);
        }
    }
}


/// Returns what earlier tasks have left on the server under a name that this revision gets too: a model_name without
/// {revision} makes it again.
std::vector<served_revision> namesakes(run_context &run)
{
    const served_revision &revision = ours(run);
    std::vector<served_revision> found;
    std::ranges::copy_if(run.model.retired, std::back_inserter(found), [&revision](const served_revision &old) {
        return old.backend == revision.backend && std::ranges::any_of(old.copies, [&revision](const auto &copy) {
                   return std::ranges::find(revision.copies, copy.model, &served_model::model) !=
                          revision.copies.end();
               });
    });
    return found;
}


/// What had to stay on the server is no file of somebody else's, which the fetch would find it to be.
outcome check_names_free(run_context &run)
{
    const auto left = namesakes(run);
    return left.empty()
               ? outcome::ok()
               : outcome::transient("revision " + std::to_string(left.front().revision) +
                                    " of the model, which has the same name on the server (" + left.front().names() +
                                    "), has to be taken off it first. " + run.left_loaded);
}


operation_ptr fetch_files(run_context &run, done_fn done)
{
    const auto old = namesakes(run);
    if (old.empty()) {
        return fetch_source(run, ours(run), std::move(done));
    }
    return in_order(run.environment.time,
                    {[&run, old](done_fn then) { return retire(run, old, nullptr, std::move(then)); },
                     [&run](done_fn then) { return ended(run, check_names_free(run), std::move(then)); },
                     [&run](done_fn then) { return fetch_source(run, ours(run), std::move(then)); }},
                    std::move(done));
}


/// Returns whether the task brings a new revision: one that was kept need not be fetched or staged.
bool brings_files(const run_context &run)
{
    return run.task.rollback_to == 0;
}


void bring_kept(run_context &run)
{
    auto &kept = run.model.kept;
    const auto found = std::ranges::find(kept, run.task.rollback_to, &served_revision::revision);
    if (found != kept.end()) {
        run.model.incoming = *found;
        run.model.incoming->keep_files = true; // whatever the outcome, it can be rolled back to again
        kept.erase(found);
    }
}


// stage, load, ready, smoke

void enter_stage(run_context &run)
{
    ours(run).stage_begun = true;
}


operation_ptr stage_files(run_context &run, done_fn done)
{
    const auto stage = [](backend &server, const server_model &model, const served_model &, done_fn then) {
        return server.stage(model, std::move(then));
    };
    return in_order(run.environment.time,
                    {[&run](done_fn then) { return run_hooks(run, ours(run), "before_stage", std::move(then)); },
                     [&run, stage](done_fn then) { return on_copies(run, ours(run), std::move(then), stage); }},
                    std::move(done));
}


void enter_load(run_context &run)
{
    bring_kept(run);
    ours(run).load_begun = true;
}


/// Copies the files of a kept revision to servers that have a repository of their own and were added since. One that
/// lacks them fails the load, which says how many servers are enough.
operation_ptr supply_servers(run_context &run, done_fn done)
{
    return on_copies(run, ours(run), std::move(done),
                     [&run](backend &server, const server_model &model, const served_model &, done_fn then) {
                         std::vector<start_fn> parts;
                         for (const auto &peer : server.servers()) {
                             parts.push_back([&run, &server, model, peer](done_fn end) {
                                 const auto judge = [end](const outcome &result) {
                                     end(result.is == outcome::kind::canceled ? result : outcome::ok());
                                 };
                                 auto work = server.supply(peer, model, judge);
                                 return work ? std::move(work) : ended(run, outcome::ok(), std::move(end));
                             });
                         }
                         return in_order(run.environment.time, std::move(parts), std::move(then));
                     });
}


/// Finds out whether all servers have a kept revision loaded still. To load it again could take as long as the first time,
/// or fail, for want of memory for two.
operation_ptr probe_kept(run_context &run, const std::shared_ptr<bool> &is_loaded, done_fn done)
{
    *is_loaded = true;
    return on_copies(run, ours(run), std::move(done),
                     [&run, is_loaded](backend &all, const server_model &model, const served_model &, done_fn then) {
                         auto peers = all.servers();
                         if (peers.empty()) {
                             peers.emplace_back();
                         }
                         std::vector<start_fn> parts;
                         parts.reserve(peers.size());
                         for (const auto &peer : peers) {
                             parts.push_back([server = all.server(peer), model, is_loaded](done_fn end) {
                                 return server->probe_models({model}, [is_loaded, end = std::move(end)](
                                                                          const std::vector<model_status> &found) {
                                     *is_loaded = *is_loaded && found.front().is == model_status::kind::loaded;
                                     end(outcome::ok());
                                 });
                             });
                         }
                         return in_order(run.environment.time, std::move(parts), std::move(then));
                     });
}


operation_ptr load_model(run_context &run, done_fn done)
{
    if (brings_files(run)) {
        return load(run, ours(run), std::move(done));
    }
    const auto is_loaded = std::make_shared<bool>();
    const start_fn load_it = [&run, is_loaded](done_fn then) {
        if (*is_loaded) {
            return ended(run, outcome::ok("it was loaded still"), std::move(then));
        }
        return in_order(run.environment.time,
                        {[&run](done_fn end) { return supply_servers(run, std::move(end)); },
                         [&run](done_fn end) { return load(run, ours(run), std::move(end)); }},
                        std::move(then));
    };
    return in_order(
        run.environment.time,
        {[&run, is_loaded](done_fn then) { return probe_kept(run, is_loaded, std::move(then)); }, load_it},
        std::move(done));
}


bool smoke_is_configured(const run_context &run)
{
    return run.plan.rollout.smoke_request != nullptr;
}


/// Runs the hooks of that name. `shift` begins with the route's first weight, `promote` with the new route: hooks
/// that must run before those run at the end of the preceding work.
start_fn hooks_of(run_context &run, const char *name)
{
    return [&run, name](done_fn then) { return run_hooks(run, ours(run), name, std::move(then)); };
}


/// Says which of the backend's servers no request reaches, because they are in no upstream block of a gateway.
std::string missing_servers(run_context &run)
{
    const auto &backends = run.environment.config.backends;
    const auto known = backends.find(ours(run).backend);
    if (known == backends.end()) {
        return {};
    }
    const auto &backend = known->second;
    const auto missing = run.environment.gateways.servers_missing_in(ours(run).upstream, server_peers(backend));
    std::string text;
    for (std::size_t i = 0; i < backend.servers.size(); ++i) {
        if (std::ranges::find(missing, backend.servers[i].peer) != missing.end()) {
            text += (text.empty() ? "" : "; ") +
                    ("nginx's upstream block \"" + ours(run).upstream + "\" has no server ") +
                    backend.servers[i].peer + " (" + pointer_to_peer(known->first, i) +
                    "), so that no request reaches it";
        }
    }
    return text;
}


/// Checks, just before traffic moves, that every gateway can reach the revision's upstream.
operation_ptr check_gateways(run_context &run, done_fn done)
{
    auto objection = run.environment.gateways.objection_to(ours(run).upstream);
    return ended(run,
                 objection.empty() ? outcome::ok(missing_servers(run)) : outcome::permanent(std::move(objection)),
                 std::move(done));
}


bool has_hooks(const run_context &run, const char *name)
{
    return run.plan.rollout.hooks.contains(name);
}


/// A hook may do anything.
bool only_asks_whether_ready(const run_context &run)
{
    return smoke_is_configured(run) || !has_hooks(run, "before_shift");
}


operation_ptr prove_ready(run_context &run, done_fn done)
{
    std::vector<start_fn> parts = {[&run](done_fn then) { return await_ready(run, ours(run), std::move(then)); },
                                   [&run](done_fn then) { return check_gateways(run, std::move(then)); }};
    if (!smoke_is_configured(run)) {
        parts.push_back(hooks_of(run, "before_shift"));
    }
    return in_order(run.environment.time, std::move(parts), std::move(done));
}


operation_ptr smoke(run_context &run, done_fn done)
{
    const auto infer = [&run](backend &server, const server_model &model, const served_model &, done_fn then) {
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
            [&run, infer](done_fn end) { return on_copies(run, ours(run), std::move(end), infer); },
            noting_servers(run, ours(run), std::move(then)));
    };
    return in_order(run.environment.time, {test, hooks_of(run, "before_shift")}, std::move(done));
}


// shift

/// Returns whether no revision will be taken off the server: a first deployment only waits from here on.
bool retires_nothing(const run_context &run)
{
    return !run.model.blue && run.model.retired.empty();
}


/// Moves the traffic, once: when a hook is retried, the weights have been held already, and what the gate has seen
/// remains valid.
operation_ptr shift_once(run_context &run, done_fn done)
{
    if (run.shifted) {
        return ended(run, outcome::ok(*run.shifted), std::move(done));
    }
    return shift_traffic(run, [&run, done = std::move(done)](const outcome &result) {
        if (result) {
            run.shifted = result.detail;
            // Like setWeight of Argo Rollouts: the last step need not be 100 %.
            if (const auto last = run.model.weight; last != 100) {
                run.shifted = *run.shifted + (run.shifted->empty() ? "" : "; ") + "after the last step, of " +
                              std::to_string(last) + " %, the promotion brings all traffic";
            }
        }
        done(result ? outcome::ok(*run.shifted) : result);
    });
}


operation_ptr shift_to_the_end(run_context &run, done_fn done)
{
    return in_order(
        run.environment.time,
        {[&run](done_fn then) { return shift_once(run, std::move(then)); }, hooks_of(run, "before_promote")},
        std::move(done));
}


// promote: green becomes blue

void enter_promote(run_context &run)
{
    auto &model = run.model;
    if (!is_ours(run, model.green)) {
        return; // done before a crash
    }
    run.task.promote_asked = false; // which was for the last hold
    if (model.blue) {
        note_leaving(model);
        model.blue->keep_files = run.plan.rollout.old == "archive";
        model.former = run.plan.rollout.watch_s == 0 ? 0 : model.blue->revision;
        (run.plan.rollout.old == "keep" ? model.kept : model.retired).push_back(*model.blue);
    }
    model.blue = std::move(model.green);
    model.green.reset();
    model.weight = 0;
    run.task.traffic_weight = 100;
    bound_kept(model, run.plan.rollout.keep_revisions);
}


void leave_promote(run_context &run)
{
    run.model.former = 0;
    run.task.promote_asked = false; // which was for the watch
}


// retire: the old blue, and whatever an earlier task could not remove

operation_ptr retire_old(run_context &run, done_fn done)
{
    return in_order(run.environment.time,
                    {hooks_of(run, "after_promote"),
                     [&run](done_fn then) {
                         const start_fn take_permit = [&run](done_fn end) { return run.permit.take(std::move(end)); };
                         return retire(run, run.model.retired, take_permit, std::move(then));
                     }},
                    std::move(done));
}


bool has_nothing_to_retire(const run_context &run)
{
    return run.model.retired.empty() && !has_hooks(run, "after_promote");
}


// rollback: all traffic to blue, green is removed

/// Reverts the promotion during the watch after it, while the old blue is still loaded.
void restore_former(model &of)
{
    for (auto *list : {&of.retired, &of.kept}) {
        const auto former = std::ranges::find(*list, of.former, &served_revision::revision);
        if (former != list->end()) {
            of.retired.push_back(*std::exchange(of.blue, *former));
            std::erase_if(*list, [&of](const auto &placed) { return placed.revision == of.blue->revision; });
            of.blue->keep_files = false;
            break;
        }
    }
    of.former = 0;
}


/// Returns whether a gateway may have sent requests to the revision that the task brings.
bool may_have_had_traffic(const run_context &run)
{
    const auto &steps = run.task.steps;
    const auto shift = std::ranges::find(steps, "shift", &step_record::name);
    return shift == steps.end() || shift->state != step_state::pending;
}


void enter_rollback_of_deployment(run_context &run)
{
    auto &model = run.model;
    if (model.former != 0 && is_ours(run, model.blue)) {
        restore_former(model);
    }
    for (auto *slot : {&model.green, &model.incoming}) {
        if (is_ours(run, *slot)) {
            model.retired.push_back(**slot);
            model.retired.back().drained = !may_have_had_traffic(run);
            slot->reset();
        }
    }
    model.weight = 0;
    run.task.traffic_weight = 0;
}


operation_ptr roll_back(run_context &run, done_fn done)
{
    std::vector<served_revision> green;
    std::copy_if(run.model.retired.begin(), run.model.retired.end(), std::back_inserter(green),
                 [&run](const auto &placed) { return placed.revision == run.task.model_revision; });
    std::vector<start_fn> parts;
    // A revision that never had traffic is removed without the gateways, of which there may be none.
    if (!may_have_had_traffic(run) || (green.empty() && run.task.find_step("shift") == nullptr)) {
        parts = {[&run, green](done_fn then) { return unload_and_remove(run, green, std::move(then)); }};
    } else {
        parts = {[&run](done_fn then) { return follow_route_back(run, std::move(then)); },
                 [&run, green](done_fn then) { return retire(run, green, nullptr, std::move(then)); }};
    }
    if (!green.empty()) {
        parts.push_back([&run, revision = green.front()](done_fn then) {
            return run_hooks(run, revision, "after_rollback", std::move(then));
        });
    }
    return in_order(run.environment.time, std::move(parts), std::move(done));
}


/// A deployment that has promoted is not undone, as its traffic is fine, unless the old blue is kept loaded for just
/// that.
bool promotion_can_be_undone(const run_context &run)
{
    return run.model.former != 0;
}


constexpr std::array steps_of_deployment = {
    run_step{.name = "fetch", .enter = enter_fetch, .work = fetch_files, .applies = brings_files},
    run_step{.name = "stage", .enter = enter_stage, .work = stage_files, .applies = brings_files},
    run_step{.name = "load", .enter = enter_load, .work = load_model},
    run_step{.name = "ready", .work = prove_ready, .only_asks = only_asks_whether_ready},
    run_step{.name = "smoke", .work = smoke, .applies = smoke_is_configured},
    run_step{.name = "shift",
             .enter = enter_shift,
             .work = shift_to_the_end,
             .waits = true,
             .needs_no_permit = retires_nothing},
    run_step{.name = "promote",
             .enter = enter_promote,
             .work = promote_and_watch,
             .leave = leave_promote,
             .can_be_undone = promotion_can_be_undone,
             .waits = true},
    run_step{.name = "retire",
             .work = retire_old,
             .can_be_undone = never,
             .waits = true,
             .is_idle = has_nothing_to_retire},
};

constexpr run_step rollback_of_deployment = {
    .name = "rollback", .enter = enter_rollback_of_deployment, .work = roll_back};

} // namespace


run_steps deployment_steps()
{
    return {steps_of_deployment, rollback_of_deployment};
}

} // namespace rollout
