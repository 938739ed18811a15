// The work that steps of deployments and of deletions share: what it takes to bring a revision out of the traffic and off
// its server, in the only order in which that is safe.
#pragma once

#include "worker/rollout/placed_work.hpp"
#include "worker/rollout/run_context.hpp"

#include <chrono>
#include <functional>
#include <string>

namespace rollout {

/// Writes the task and its model as they are now, and ends once they are durable; a route that changed is on its way to the
/// gateways then.
operation_ptr write(run_context &run, done_fn done);

/// Waits until every gateway follows the model's route as it was last written.
operation_ptr follow_route(run_context &run, done_fn done);

/// Does the same on the way back, which the task's time limit does not end: fails after `ready_timeout_s` and `drain_s`. What a
/// gateway may still route to then has to stay where it is.
operation_ptr follow_route_back(run_context &run, done_fn done);

/// Waits until no gateway has a request in flight on that revision, or the drain time is over: then ok all the same, with
/// a detail that says so.
operation_ptr drain(run_context &run, const served_revision &revision, done_fn done);

/// Unloads the revision, and ends once the server says that it is gone. One whose load never began is gone.
operation_ptr unload(run_context &run, const served_revision &revision, done_fn done);

/// Removes its files, in the repository and in the staging folder.
operation_ptr remove_files(run_context &run, const served_revision &revision, done_fn done);

/// Loads the revision, with its configuration for the server.
operation_ptr load(run_context &run, const served_revision &revision, done_fn done);

/// Asks again and again until the revision is ready, within the rollout's `ready_timeout_s`.
operation_ptr await_ready(run_context &run, const served_revision &revision, done_fn done);

/// Does the same for one model on its server.
operation_ptr ready_within(clock &time, backend &server, const server_model &model, std::chrono::seconds limit,
                           done_fn done);

/// Runs `work` for each of the revisions, one after the other.
operation_ptr for_each(run_context &run, const std::vector<served_revision> &all,
                       operation_ptr (*work)(run_context &, const served_revision &, done_fn), done_fn done);

/// Whether a server that was down has yet to unload the revision: its files stay, and it stays among the model's `retired`.
bool is_owing(run_context &run, const served_revision &revision);

/// Unloads and removes each revision in turn, and takes it off the model's `retired` with the next write; one with
/// `keep_files` is only unloaded, and kept. One that cannot be taken off does not hold up the others.
operation_ptr unload_and_remove(run_context &run, const std::vector<served_revision> &all, done_fn done);

/// Does the same for revisions that had traffic: drains them first.
operation_ptr retire(run_context &run, const std::vector<served_revision> &all, done_fn done);

/// Runs `work` while the task says that the server is to do it: `act`, as "load", of the revision's names there, within `limit`
/// each.
operation_ptr while_server_works(run_context &run, const served_revision &revision, const std::string &act,
                                 std::chrono::seconds limit, const std::function<operation_ptr(done_fn)> &work,
                                 done_fn done);

/// Notes in the model, when a call for the revision is over, which of its backend's servers have it by now.
done_fn noting_servers(run_context &run, const served_revision &revision, done_fn done);

/// Runs `work` with the backend of a revision; fails with a sentence if the configuration has lost it.
operation_ptr on_backend(run_context &run, const served_revision &revision, done_fn done,
                         const std::function<operation_ptr(backend &server, done_fn done)> &work);

/// Runs `work` for each of a revision's copies on its backend, one after the other.
operation_ptr on_copies(run_context &run, const served_revision &revision, done_fn done, copy_work work);

/// Returns an operation that is over before it began, for a step that finds nothing to do or cannot do it.
operation_ptr ended(run_context &run, outcome result, done_fn done);

} // namespace rollout
