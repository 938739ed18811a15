// Which final tasks a purge removes.
#pragma once

#include "worker/journal/journal.hpp"
#include "worker/journal/sqlite/database.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace rollout {

/// Statements of one connection, for use by one thread at a time. The database must outlive them.
class old_tasks {
  public:
    explicit old_tasks(sqlite_database &of);

    struct old_task {
        std::uint64_t sequence = 0;
        std::uint64_t revision = 0;
        std::string task_id;
    };

    struct found {
        purge_position scanned_up_to;
        std::vector<old_task> to_remove;
        bool more = false; ///< there are more after these
    };

    /// Checks the next `rows` tasks: see journal::purge. Throws sqlite_error.
    found find(purge_position from, std::int64_t before_us, std::size_t rows);

  private:
    bool stands_somewhere(const std::string &model_id);

    // Two, since SQLite seeks in an index by the last column only.
    sqlite_statement at_once_;
    sqlite_statement later_;
    sqlite_statement find_model_;
};

} // namespace rollout
