// Turns a failed system call on a model's files into an outcome.
#pragma once

#include "worker/async/outcome.hpp"

#include <string>

namespace rollout {

/// `what` begins the sentence ("/srv/models/123/a cannot be read"). Transient if the same call may succeed later: a
/// shortage of descriptors or memory, a disk or a file server that did not answer. A full disk is permanent: only the
/// operator can make room.
outcome io_failure(const std::string &what, int error);

} // namespace rollout
