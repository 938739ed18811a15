// The step `fetch`: downloads every copy's files into the staging folder of its server and reports the progress.
#pragma once

#include "worker/rollout/run_context.hpp"

namespace rollout {

/// Fetches the files of the revision that the task deploys, one copy after the other. During a download, the task's
/// document is updated about once a second.
operation_ptr fetch_source(run_context &run, const served_revision &revision, done_fn done);

} // namespace rollout
