// The step `fetch`: every copy's files into the staging folder of its server, and how far that is, for people to see.
#pragma once

#include "worker/rollout/task_run.hpp"

namespace rollout {

/// Brings the files of the revision that the task is to deploy, copy after copy. While it downloads, the task's document
/// follows, about once a second.
operation_ptr fetch_source(task_run &run, const placed_revision &one, done_fn done);

} // namespace rollout
