// The values in etcd: what is written is read here too.
//
//   s/meta       {"id": 32 characters, "format": 1, "oldest_reader": 1}; while a journal is imported also "import_of", its id
//   s/rev        WRITER WALL_US HOST
//   s/tasks/ID   INDEX CREATED_INDEX WRITE_ID KIND STATUS UPDATED_US MODEL_ID, a line feed, the task's document
//   s/models/ID  INDEX WRITE_ID, a line feed, the model's state as JSON
//   s/series/ID  the series of a deployment: its document, packed (packed_text.hpp)
//   s/leader     the host that leads; its token is the key's create_revision
//
// INDEX is that of revision.hpp in the transaction of the last change, CREATED_INDEX in that of the creation. WRITE_ID
// names the write, so that who has no answer to it finds out whether it was made.
#pragma once

#include "worker/async/outcome.hpp"
#include "worker/domain/model.hpp"
#include "worker/etcd/messages.hpp"
#include "worker/journal/journal.hpp"

#include <cstdint>
#include <string>
#include <string_view>

namespace rollout::cluster {

/// The format that is written, and the oldest that is read.
inline constexpr unsigned format = 1;

struct meta_record {
    std::string id; ///< the cluster's: the journal's id for nginx
    unsigned format = cluster::format;
    unsigned oldest_reader = cluster::format; ///< a rolloutd that knows only older formats must not use it
    std::string import_of{};                  ///< the journal that is being imported; empty: none
};

struct task_record {
    task_row row;
    std::int64_t updated_us = 0;
    std::string write_id;
};

struct model_record {
    std::string model_id;
    std::uint64_t revision = 0;
    std::string state; ///< as JSON
    std::string write_id;
};

struct position_record {
    std::string writer;
    std::int64_t wall_us = 0;
    std::string host{}; ///< the writer's; empty: it does not say
};

std::string write_meta(const meta_record &from);
std::string write_position(const position_record &from);

/// `index`: of this change in its transaction. The index at the creation is taken from the row's sequence; for a new
/// task, whose sequence is 0, it is `index`.
std::string write_task(const task_row &row, std::int64_t updated_us, std::string_view write_id, unsigned index);

std::string write_model(std::string_view state, std::string_view write_id, unsigned index);

// Each fails with a sentence that names the key if the value is not one.

/// A format that this rolloutd does not know, and an import that has not ended, are failures too: the sentence says so.
result<meta_record> read_meta(const etcd::key_value &entry);

/// Returns the id of the journal whose import has begun and not ended; empty: none.
std::string import_under_way(const etcd::key_value &meta);

result<position_record> read_position(const etcd::key_value &entry);
result<task_record> read_task(const etcd::key_value &entry, const std::string &task_id);
result<model_record> read_model(const etcd::key_value &entry, const std::string &model_id);

} // namespace rollout::cluster
