// The work that the steps of deployments and deletions share: how to take a revision out of the traffic and unload
// it, in the only order in which that is safe.
#pragma once

#include "worker/rollout/placed_work.hpp"
#include "worker/rollout/run_context.hpp"

#include <chrono>
#include <functional>
#include <string>

namespace rollout {

/// Writes the task and its model as they are now, and ends once they are durable; by then a changed route is on its
/// way to the gateways.
operation_ptr write(run_context &run, done_fn done);

/// Waits until these gateways follow the model's route as it was last written.
operation_ptr follow_route(run_context &run, gateway_control::awaited whom, done_fn done);

/// Does the same for the reachable ones during a rollback, which the task's time limit does not end: fails after
/// `ready_timeout_s` and `drain_s`. A revision that a gateway may still route to must then stay loaded.
operation_ptr follow_route_back(run_context &run, done_fn done);

/// Waits until no gateway has a request in flight on that revision, or until the drain time is over: it succeeds
/// anyway then, with a detail that says so. A revision that is `drained`, or not loaded, is not waited for.
operation_ptr drain(run_context &run, const served_revision &revision, done_fn done);

/// Unloads the revision, and ends once the server says that it is gone. A revision whose load never began counts as
/// gone.
operation_ptr unload(run_context &run, const served_revision &revision, done_fn done);

/// Removes its files from the repository and from the staging folder.
operation_ptr remove_files(run_context &run, const served_revision &revision, done_fn done);

/// Loads the revision, with its configuration for the server.
operation_ptr load(run_context &run, const served_revision &revision, done_fn done);

/// Polls until the revision is ready, for the rollout's `ready_timeout_s` at most.
operation_ptr await_ready(run_context &run, const served_revision &revision, done_fn done);

/// Does the same for one model on its server.
operation_ptr ready_within(clock &time, backend &server, const server_model &model, std::chrono::seconds limit,
                           done_fn done);

/// Runs `work` for each of the revisions, one after the other.
operation_ptr for_each(run_context &run, const std::vector<served_revision> &all,
                       operation_ptr (*work)(run_context &, const served_revision &, done_fn), done_fn done);

/// Returns whether a server that was down has yet to unload the revision: its files stay, and it stays in the model's
/// `retired`.
bool is_owing(run_context &run, const served_revision &revision);

/// Unloads and removes each revision in turn, and drops it from the model's `retired` with the next write; one with
/// `keep_files` is only unloaded, and kept. One that cannot be unloaded does not hold up the others.
operation_ptr unload_and_remove(run_context &run, const std::vector<served_revision> &all, done_fn done);

/// Does the same for revisions that had traffic: drains them first, and writes that. While a gateway that cannot be
/// reached may still route to them, they stay loaded and in `retired`; the detail and `run.left_loaded` say so.
/// `before_unload` comes before the first unload; null: nothing does.
operation_ptr retire(run_context &run, const std::vector<served_revision> &all, const start_fn &before_unload,
                     done_fn done);

/// Runs `work` while the task says that the server is at work: `act`, such as "load", on the revision's names there,
/// within `limit` each.
operation_ptr while_server_works(run_context &run, const served_revision &revision, const std::string &act,
                                 std::chrono::seconds limit, const std::function<operation_ptr(done_fn)> &work,
                                 done_fn done);

/// Notes in the model, when a call for the revision is over, which servers of its backend now have it.
done_fn noting_servers(run_context &run, const served_revision &revision, done_fn done);

/// Runs `work` with the backend of a revision; fails with a sentence if the configuration no longer has it.
operation_ptr on_backend(run_context &run, const served_revision &revision, done_fn done,
                         const std::function<operation_ptr(backend &server, done_fn done)> &work);

/// Runs `work` for each of a revision's copies on its backend, one after the other.
operation_ptr on_copies(run_context &run, const served_revision &revision, done_fn done, copy_work work);

/// Returns an operation that ended before it began, for a step that has nothing to do or cannot do it.
operation_ptr ended(run_context &run, outcome result, done_fn done);

} // namespace rollout
