// Reads from the journal: each question is a function of one connection. Nothing here waits for commits or changes
// anything. All throw sqlite_error.
#pragma once

#include "worker/journal/journal.hpp"
#include "worker/journal/sqlite/database.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace rollout::reads {

std::optional<task_row> find(sqlite_database &database, const std::string &task_id);

/// Returns the latest task of that kind and model; `last_open` is the sequence of the latest unfinished one, 0 if
/// there is none.
std::optional<task_row> find_latest(sqlite_database &database, task_kind kind, const std::string &model_id,
                                    std::uint64_t last_open);

/// Returns the series of a deployment; nothing if there is no such deployment. A series that cannot be read is logged,
/// and reads as none.
std::optional<stored_series> find_series(sqlite_database &database, const std::string &task_id);

/// Returns the tasks whose series are beyond those that stay, as of journal::save_series, at most `most`: of that model, and
/// of all.
std::vector<std::string> series_beyond(sqlite_database &database, const std::string &model_id, std::size_t most);

/// Returns what a replica lacks: see journal::read_after.
std::vector<task_row> changes_after(sqlite_database &database, std::uint64_t revision, std::size_t max_bytes);

struct task_page {
    std::vector<task_row> rows;
    bool more = false;
};

/// See journal::list. `open`: the sequences, ascending, of that model's unfinished tasks of that kind; may be left
/// out if the filter names no model, or a final status.
task_page list(sqlite_database &database, const task_filter &which, std::size_t limit, std::size_t max_bytes,
               const std::vector<std::uint64_t> &open);

struct model_page {
    std::vector<model> models;
    bool more = false;
};

/// See journal::list_models.
model_page list_models(sqlite_database &database, const std::string &after, std::size_t limit);

/// See journal::list_all_models.
model_page list_all_models(sqlite_database &database, const std::string &after, std::size_t limit);

/// See journal::list_unfinished.
task_page unfinished(sqlite_database &database, std::uint64_t after, std::size_t max_bytes);

std::vector<known_gateway> gateways(sqlite_database &database);
std::uint64_t count_tasks(sqlite_database &database);

} // namespace rollout::reads
