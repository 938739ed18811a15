// The writes of a journal's past as transactions of etcd: its revisions become those of revision.hpp, in the same order.
#pragma once

#include "worker/cluster/keys.hpp"
#include "worker/etcd/messages.hpp"
#include "worker/journal/sqlite/journal_source.hpp"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string_view>
#include <utility>
#include <vector>

namespace rollout::cluster {

/// The indexes that tasks had in the transactions of their creations, by the sequences in the journal that they come from:
/// eight bytes a task.
class creation_indexes {
  public:
    /// `sequence` is larger than those before, and less than 2^56.
    void add(std::uint64_t sequence, unsigned index);

    /// Returns 0 if it was not added.
    unsigned find(std::uint64_t sequence) const;

  private:
    std::vector<std::uint64_t> all_; ///< ascending: the sequence, and in the lowest eight bits the index
};

struct batch_bounds {
    std::size_t puts = 120;
    std::size_t bytes = 1024 * 1024; ///< of keys and values
};

/// What one transaction holds.
struct import_batch {
    std::vector<etcd::put_request> puts;
    std::size_t writes = 0; ///< of the past, which it makes

    /// The sequences of tasks that it creates and that change later, with their indexes.
    std::vector<std::pair<std::uint64_t, unsigned>> created;
};

/// Makes a batch of the first writes: as many as fit, at least one. A task that is created and changed in one batch is put
/// once, with both indexes; one that changes in a later batch is put twice, first without its document.
import_batch make_import_batch(const keys &names, const std::deque<past_write> &writes, const creation_indexes &known,
                               std::string_view write_id, batch_bounds bounds);

} // namespace rollout::cluster
