// The changes to tasks, models and gateways, each as it is applied in a commit.
#pragma once

#include "worker/journal/journal.hpp"
#include "worker/journal/sqlite/database.hpp"
#include "worker/journal/sqlite/old_tasks.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace rollout {

/// The statements that writes run, prepared once: for use by one thread at a time. The database must outlive them.
class write_statements {
  public:
    write_statements(sqlite_database &of, std::uint64_t last_revision);

    sqlite_database &database;
    std::uint64_t revision; ///< the last one assigned

    sqlite_statement find;
    sqlite_statement insert;
    sqlite_statement update;
    sqlite_statement put_model;
    sqlite_statement put_gateway;
    sqlite_statement drop_gateway;
    old_tasks old;
    sqlite_statement remove;

    sqlite_statement put_series;
    sqlite_statement drop_old_of_model; ///< more than series_of_model
    sqlite_statement drop_old_series;   ///< more than series_in_all
    sqlite_statement remove_series;
};


/// A change that waits for its commit: `apply` runs on the committer's thread, `end` on the loop's.
class journal_write {
  public:
    virtual ~journal_write() = default;

    /// Applies the change inside a transaction. May throw: then the transaction fails.
    virtual void apply(write_statements &with) = 0;

    /// Called once, when its transaction has ended.
    virtual void end(const outcome &ended) = 0;

    /// Returns the name in its failpoints.
    virtual const char *name() const noexcept = 0;

    /// Returns the row that replicas must be sent once it is committed; null for none.
    virtual task_row *news() { return nullptr; }

    /// Returns the model as it was written; null for none.
    virtual model *model_news() { return nullptr; }
};

using write_ptr = std::unique_ptr<journal_write>;


/// Each implements journal's function of the same name.
namespace writes {

write_ptr create(const task &wanted, bool only_find, journal::created_fn done);
write_ptr save(const task &changed, const model *with, journal::saved_fn done);
write_ptr save_model(const model &changed, journal::saved_fn done);
write_ptr remember_gateway(const std::string &gateway, const std::string &processes);
write_ptr forget_gateway(const std::string &gateway);
write_ptr save_series(const std::string &task_id, const std::string &model_id, const std::string &document,
                      std::function<void(outcome)> done);
write_ptr purge(purge_position from, std::int64_t before_us, std::size_t rows, journal::purged_fn done);

} // namespace writes

} // namespace rollout
