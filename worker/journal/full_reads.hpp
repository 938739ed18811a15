// Reads all of what the journal has of a kind, page by page, so that neither the loop nor the memory holds all of it at a
// time.
#pragma once

#include "worker/journal/journal.hpp"

#include <functional>
#include <vector>

namespace rollout {

/// Both call `on_page` for each page, in order, and then `done`; `on_page` must not destroy the operation. After a failure
/// the pages so far are not all there is. The journal outlives the operation.

/// Reads all models, in the order of their ids.
operation_ptr read_all_models(journal &from, std::function<void(std::vector<model>)> on_page, done_fn done);

/// Reads all unfinished tasks, in the order of acceptance. Those that are accepted meanwhile may be among them.
operation_ptr read_all_unfinished(journal &from, std::function<void(std::vector<task_row>)> on_page, done_fn done);

} // namespace rollout
