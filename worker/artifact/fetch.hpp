// Fetches a model's files from an allowed source into a folder: checked, bounded, and never from outside the allowed
// sources.
#pragma once

#include "worker/artifact/fetch_request.hpp"
#include "worker/async/outcome.hpp"

#include <uv.h>

namespace rollout {

/// Copies or downloads on a thread of libuv's pool; a file with an archive's name (archive.hpp) is unpacked. `loop` must
/// outlive the operation. The detail of `ok` says what was fetched, for a person ("4 files, 2.2 MiB"), and, if there was
/// no checksum, that nothing was verified. A failure leaves nothing, except for a download with a checksum that can be
/// resumed: its partial file stays in `destination`, where the next fetch resumes it.
operation_ptr fetch(uv_loop_t *loop, fetch_request request, done_fn done);

} // namespace rollout
