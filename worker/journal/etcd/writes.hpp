// The changes to tasks and models, each as a transaction of etcd inside of a batch.
#pragma once

#include "worker/cluster/keys.hpp"
#include "worker/etcd/messages.hpp"
#include "worker/journal/etcd/own_writes.hpp"
#include "worker/journal/journal.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace rollout::cluster {

/// A change that is carried out whole, or not at all if what it compares does not hold. It may be sent several times:
/// if an earlier one was carried out, the later ones find their own write id.
class write {
  public:
    virtual ~write() = default;

    /// Returns the keys that it changes. No two writes that are under way have one in common.
    virtual const std::vector<std::string> &keys() const noexcept = 0;

    /// Returns about how many bytes it adds to a request.
    virtual std::size_t bytes() const noexcept = 0;

    /// Returns the transaction, for that index in the batch.
    virtual etcd::txn_request request(unsigned index, const own_writes &own) = 0;

    /// Takes in etcd's answer. Returns false if it must be sent once more.
    virtual bool settle(const etcd::txn_answer &answer, std::int64_t revision, unsigned index, own_writes &own) = 0;

    /// It was not carried out; with `in_doubt`, it may have been, or be carried out later.
    virtual void fail(outcome why, bool in_doubt, own_writes &own) = 0;

    /// Calls back. Called once, after it was settled or has failed.
    virtual void end() = 0;

    /// Returns the name in its failpoints.
    virtual const char *name() const noexcept = 0;
};

using write_ptr = std::unique_ptr<write>;

/// Each implements journal's function of the same name.
namespace writes {

write_ptr create(const keys &names, own_writes &own, const task &wanted, journal::created_fn done);
write_ptr save(const keys &names, own_writes &own, const task &changed, const model *with, journal::saved_fn done);
write_ptr save_model(const keys &names, own_writes &own, const model &changed, journal::saved_fn done);

/// A series that replaces the one before, whatever that is. It is not kept if the task is not there any more.
write_ptr save_series(const keys &names, const own_writes &own, const std::string &task_id,
                      const std::string &document, std::function<void(outcome)> done);
write_ptr remove_series(const keys &names, const own_writes &own, const std::string &task_id);

/// Removes a task and its series, unless the task has changed since that revision. `done` is told whether it was removed.
using removed_fn = std::function<void(outcome, bool removed)>;
write_ptr remove(const keys &names, const own_writes &own, const std::string &task_id, std::uint64_t revision,
                 removed_fn done);

/// Returns the last put of each transaction: who wrote, and when by its clock.
etcd::put_request position(const keys &names, const own_writes &own, std::int64_t wall_us);

} // namespace writes

/// Returns what a read says to a creation that is only to find the task: `row`, the wanted one, becomes that which has the
/// id. If its value is damaged, `fault` is set.
journal::creation creation_of(const etcd::range_answer &found, task_row &row, outcome &fault);

} // namespace rollout::cluster
