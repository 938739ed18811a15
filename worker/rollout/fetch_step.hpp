// The step `fetch`: every copy's files into the staging folder of its server, and how far that is, for people to see.
#pragma once

#include "worker/rollout/run_context.hpp"

namespace rollout {

/// Brings the files of the revision that the task is to deploy, copy after copy. While it downloads, the task's document
/// follows, about once a second.
operation_ptr fetch_source(run_context &run, const served_revision &revision, done_fn done);

} // namespace rollout
