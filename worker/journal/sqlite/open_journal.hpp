// Opens the journal on a thread: a large file is read, migrated or recovered for seconds or minutes, and the loop goes on
// meanwhile.
#pragma once

#include "worker/async/outcome.hpp"
#include "worker/journal/sqlite/sqlite_journal.hpp"

#include <uv.h>

#include <functional>
#include <memory>
#include <string>

namespace rollout {

using opened_fn = std::function<void(const outcome &, std::unique_ptr<sqlite_journal>)>;

/// Opens the file, or creates it. `done` is called on the loop with the journal, or with a failure and null: a permanent
/// one if another attempt does not help, as the file is damaged, not a journal, or of a newer version. `at_work` is
/// called on the thread, repeatedly while this takes time. Canceling breaks it off; the file is as it was, or as the last
/// complete step of a migration has left it.
operation_ptr open_journal(uv_loop_t *loop, const std::string &path, std::function<void()> at_work, opened_fn done);

} // namespace rollout
