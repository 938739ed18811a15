// The work that steps of deployments and of deletions share: what it takes to bring a revision out of the traffic and off
// its server, in the only order in which that is safe.
#pragma once

#include "worker/rollout/placed_work.hpp"
#include "worker/rollout/task_run.hpp"

#include <chrono>
#include <functional>
#include <string>

namespace rollout {

/// Until the task and its model, as they are now, are durable; a route that changed is on its way to the gateways then.
operation_ptr write(task_run &run, done_fn done);

/// Until every gateway follows the model's route as it was last written.
operation_ptr follow_route(task_run &run, done_fn done);

/// The same on the way back, which the task's time limit does not end: fails after `ready_timeout_s` and `drain_s`. What a
/// gateway may still route to then has to stay where it is.
operation_ptr follow_route_back(task_run &run, done_fn done);

/// Until no gateway has a request in flight on that revision, or the drain time is over: then ok all the same, with a
/// detail that says so.
operation_ptr drain(task_run &run, const placed_revision &one, done_fn done);

/// Until the server says that it is gone. A revision whose load never began is gone.
operation_ptr unload(task_run &run, const placed_revision &one, done_fn done);

/// Its files, in the repository and in the staging folder.
operation_ptr remove_files(task_run &run, const placed_revision &one, done_fn done);

/// The server's own load, with the revision's configuration for it.
operation_ptr load(task_run &run, const placed_revision &one, done_fn done);

/// Ready, asked again and again until the rollout's `ready_timeout_s`.
operation_ptr await_ready(task_run &run, const placed_revision &one, done_fn done);

/// The same of one model on its server.
operation_ptr ready_within(clock &time, backend &server, const server_model &model, std::chrono::seconds limit,
                           done_fn done);

/// `work` for each of the revisions, one after the other.
operation_ptr for_each(task_run &run, const std::vector<placed_revision> &all,
                       operation_ptr (*work)(task_run &, const placed_revision &, done_fn), done_fn done);

/// Each revision in turn unloaded and removed, and taken off the model's `retired` with the next write; one with
/// `keep_files` is unloaded alone, and kept. One that cannot be taken off does not hold up the others.
operation_ptr take_off(task_run &run, const std::vector<placed_revision> &all, done_fn done);

/// The same for revisions that had traffic: drained first.
operation_ptr retire(task_run &run, const std::vector<placed_revision> &all, done_fn done);

/// `work`, while the task says that the server is to do it: `act` of the revision's names there, as "load", within `limit` each.
operation_ptr while_server_works(task_run &run, const placed_revision &one, const std::string &act,
                                 std::chrono::seconds limit, const std::function<operation_ptr(done_fn)> &work,
                                 done_fn done);

/// `work` with the backend of a revision; a failure that says so where the configuration has lost it.
operation_ptr on_backend(task_run &run, const placed_revision &one, done_fn done,
                         const std::function<operation_ptr(backend &server, done_fn done)> &work);

/// `work` for each of a revision's copies on its backend, one after the other.
operation_ptr on_copies(task_run &run, const placed_revision &one, done_fn done, copy_work work);

/// An operation that is over before it began, for a step that finds nothing to do or cannot do it.
operation_ptr ended(task_run &run, outcome how, done_fn done);

} // namespace rollout
