// A failed system call on a model's files, as an outcome.
#pragma once

#include "worker/async/outcome.hpp"

#include <string>

namespace rollout {

/// `what` begins the sentence ("/srv/models/123/a cannot be read"). Transient where the same call may do later: a shortage
/// of descriptors or memory, a disk or a file server that failed to answer. A full disk is permanent: it is the operator
/// who makes room.
outcome io_failure(const std::string &what, int error);

} // namespace rollout
