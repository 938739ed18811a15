// The unfinished tasks, by kind and model. They are kept in memory, since every new task would hit their index at
// random, and the index would account for most of a commit's pages.
#pragma once

#include "worker/journal/journal.hpp"
#include "worker/journal/sqlite/database.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

namespace rollout {

class open_tasks {
  public:
    using sequences = std::vector<std::uint64_t>; ///< ascending

    open_tasks() = default;

    /// Reads them from the journal. Throws sqlite_error.
    explicit open_tasks(sqlite_database &database);

    /// Records a task in its current state: a new one, one that continues, or one that has ended.
    void note(const task_row &row);

    std::size_t count() const noexcept { return count_; }

    sequences of(task_kind kind, const std::string &model_id) const;

  private:
    std::array<std::unordered_map<std::string, sequences>, 2> by_kind_; ///< then by model
    std::size_t count_ = 0;
};

} // namespace rollout
