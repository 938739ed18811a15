// What a commit of the journal is made of, for sqlite_journal's own files alone.
#pragma once

#include "worker/journal/sqlite/sqlite_journal.hpp"
#include "worker/journal/sqlite/rows.hpp"

#include <cstdint>

namespace rollout {

/// The writer's, prepared once; only the commits' thread touches them.
struct sqlite_journal::statements {
    sqlite_database &database;
    std::uint64_t revision; ///< the last one given

    sqlite_statement begin{database, "BEGIN IMMEDIATE"};
    sqlite_statement commit{database, "COMMIT"};
    sqlite_statement find{database, select("WHERE task_id = ?")};
    sqlite_statement insert{database,
                            "INSERT INTO tasks (sequence, revision, kind, status, task_id, document, model_id, "
                            "updated_us) VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (task_id) DO NOTHING"};
    sqlite_statement update{
        database, "UPDATE tasks SET revision = ?, status = ?, document = ?, updated_us = ? WHERE task_id = ?"};
    sqlite_statement put_model{database,
                               "INSERT OR REPLACE INTO models (model_id, revision, state) VALUES (?, ?, ?)"};
    sqlite_statement find_model{database, select_models("WHERE model_id = ?")};
    sqlite_statement put_gateway{database, "INSERT INTO gateways (gateway, processes) VALUES (?, ?) "
                                           "ON CONFLICT (gateway) DO UPDATE SET processes = excluded.processes"};
    sqlite_statement drop_gateway{database, "DELETE FROM gateways WHERE gateway = ?"};
    sqlite_statement put_revision{database, "UPDATE meta SET value = ? WHERE name = 'revision'"};
    // Two, since SQLite finds its place in an index by the last column alone.
    sqlite_statement old_at_once{database, old_tasks("updated_us = ? AND sequence > ? ORDER BY sequence LIMIT ?")};
    sqlite_statement old_later{database,
                               old_tasks("updated_us > ? AND updated_us < ? ORDER BY updated_us, sequence LIMIT ?")};
    sqlite_statement remove{database, "DELETE FROM tasks WHERE sequence = ?"};

    /// The third column says whether a later task of the same kind and model has ended too; the fourth is the model.
    static std::string old_tasks(std::string_view which)
    {
        return "SELECT sequence, updated_us, EXISTS (SELECT 1 FROM tasks l WHERE l.model_id = t.model_id "
               "AND l.kind = t.kind AND l.sequence > t.sequence AND l.status NOT IN ('pending', 'in_progress')), "
               "model_id "
               "FROM tasks t WHERE status NOT IN ('pending', 'in_progress') AND " +
               std::string(which);
    }
};


/// A write that waits for its batch: `apply` runs on the commits' thread, `end` on the loop's.
struct sqlite_journal::write {
    virtual ~write() = default;
    virtual void apply(statements &in) = 0;
    virtual void end(const outcome &ended) = 0;

    /// Of its failpoints.
    virtual const char *name() const noexcept = 0;

    /// What replicas must hear of, once it is committed; null for nothing.
    virtual task_row *news() { return nullptr; }
};

} // namespace rollout
