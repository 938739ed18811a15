// Brings a model's files from an allowed source into a folder: checked, bounded, nothing from outside the allowed.
#pragma once

#include "worker/artifact/fetch_request.hpp"
#include "worker/async/outcome.hpp"

#include <uv.h>

namespace rollout {

/// Copies, or downloads, on a thread of libuv's pool; a file whose name is an archive's (archive.hpp) is unpacked. `loop` must outlive the operation. `ok`'s detail
/// says what was fetched, for a person ("4 files, 2.2 MiB"), and that nothing was verified where there was no checksum. A failure leaves nothing, but for a download with a checksum
/// that may be taken up again: its part stays in `destination`, where the next fetch goes on with it.
operation_ptr fetch(uv_loop_t *loop, fetch_request request, done_fn done);

} // namespace rollout
