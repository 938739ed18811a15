// A journal's file, read to move what it holds elsewhere. The file is left as it is.
#pragma once

#include "common/base/unique_fd.hpp"
#include "worker/journal/journal.hpp"
#include "worker/journal/sqlite/database.hpp"
#include "worker/journal/sqlite/journal_replica.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace rollout {

/// A write that was made to a journal, as far as what it wrote is the task's creation or the latest of a task or model.
struct past_write {
    std::uint64_t at = 0; ///< the journal's revision of the write

    /// The task that was created, if its sequence is `at`, or changed last. One that is created here and changed by a
    /// later write has no document yet.
    std::optional<replica_task> task = std::nullopt;

    std::vector<replica_model> models = {};
};

/// Returns whether a task is created by a write, and changed by a later one.
inline bool changes_later(const past_write &of) noexcept
{
    return of.task && of.task->row.sequence == of.at && of.task->row.revision > of.at;
}

/// Used by one thread. Memory is taken for a few rows, whatever the size of the file.
class journal_source {
  public:
    /// Opens the file, and reads it whole to see whether it is damaged: some seconds for a million tasks. Until this is
    /// destroyed no rolloutd can open it. Throws std::runtime_error with a sentence if it cannot be used now, as when a
    /// rolloutd has it; throws a permanent_start_error or a permanent sqlite_error if it is no journal, damaged, or of
    /// another version than the newest.
    explicit journal_source(const std::string &path);
    ~journal_source();
    journal_source(const journal_source &) = delete;
    journal_source &operator=(const journal_source &) = delete;

    /// Returns the journal's id.
    const std::string &id() const noexcept { return id_; }

    std::uint64_t tasks() const noexcept { return tasks_; }
    std::uint64_t models() const noexcept { return models_; }
    std::uint64_t series() const noexcept { return series_; }

    /// Returns the gateways that may still route as it says.
    const std::vector<known_gateway> &gateways() const noexcept { return gateways_; }

    /// Returns the next write, in order; nothing at the end. A task that cannot be read is logged and left out. Throws
    /// sqlite_error.
    std::optional<past_write> next();

    /// Returns the next series of a deployment; nothing at the end. Throws sqlite_error.
    std::optional<replica_series> next_series();

    /// Returns how many tasks were left out by next().
    std::uint64_t left_out() const noexcept { return left_out_; }

  private:
    class side_files;
    class cursors;

    unique_fd lock_;
    std::unique_ptr<side_files> beside_; ///< goes after the database
    std::unique_ptr<sqlite_database> database_;
    std::unique_ptr<cursors> cursors_;
    std::string id_;
    std::uint64_t tasks_ = 0;
    std::uint64_t models_ = 0;
    std::uint64_t series_ = 0;
    std::vector<known_gateway> gateways_;
    std::uint64_t left_out_ = 0;
};

} // namespace rollout
