// Which tasks have not ended, by kind and model: in memory, since their index would be hit at random by every new task, and take
// most of a commit's pages.
#pragma once

#include "worker/journal/journal.hpp"
#include "worker/journal/sqlite/database.hpp"

#include <array>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

namespace rollout {

class open_tasks {
  public:
    using sequences = std::vector<std::uint64_t>; ///< growing

    open_tasks() = default;

    /// Reads them from the journal. Throws sqlite_error.
    explicit open_tasks(sqlite_database &database);

    /// Takes a task as it is now: a new one, one that goes on, or one that has ended.
    void note(const task_row &row);

    sequences of(task_kind kind, const std::string &model_id) const;

    /// In the order of acceptance.
    sequences all() const;

  private:
    std::array<std::unordered_map<std::string, sequences>, 2> by_kind_; ///< then by model
};

} // namespace rollout
