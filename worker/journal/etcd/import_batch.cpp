#include "worker/journal/etcd/import_batch.hpp"

#include "worker/journal/etcd/records.hpp"
#include "worker/journal/etcd/revision.hpp"

#include <algorithm>
#include <map>
#include <string>

namespace rollout::cluster {

namespace {

/// The document of a task that is still to be changed.
constexpr std::string_view no_document = "{}";


/// The puts of one transaction, while it is filled.
class filling {
  public:
    filling(const keys &names, const creation_indexes &known, std::string_view write_id, batch_bounds bounds)
        : names_(names), known_(known), write_id_(write_id), bounds_(bounds)
    {
    }

    /// Returns false, and changes nothing, if it does not fit.
    bool add(const past_write &of)
    {
        auto wanted = puts_of(of);
        std::size_t more = 0;
        std::size_t bytes = bytes_;
        for (const auto &put : wanted) {
            const auto before = places_.find(put.key);
            more += before == places_.end() ? 1 : 0;
            bytes += put.key.size() + put.value.size();
            bytes -= before == places_.end() ? 0 : size_of(made_.puts[before->second]);
        }
        if (made_.writes != 0 &&
            (made_.puts.size() + more > bounds_.puts || bytes > bounds_.bytes || made_.writes == revisions_in_one)) {
            return false;
        }
        bytes_ = bytes;
        for (auto &put : wanted) {
            const auto [at, is_new] = places_.try_emplace(put.key, made_.puts.size());
            if (is_new) {
                made_.puts.push_back(std::move(put));
            } else {
                made_.puts[at->second] = std::move(put);
            }
        }
        if (changes_later(of)) {
            created_[of.task->row.sequence] = index();
        } else if (of.task) {
            created_.erase(of.task->row.sequence);
        }
        ++made_.writes;
        return true;
    }

    import_batch take()
    {
        made_.created.assign(created_.begin(), created_.end());
        return std::move(made_);
    }

  private:
    /// Returns the index of the write that is added next.
    unsigned index() const noexcept { return static_cast<unsigned>(made_.writes); }

    static std::size_t size_of(const etcd::put_request &put) { return put.key.size() + put.value.size(); }

    std::vector<etcd::put_request> puts_of(const past_write &of) const
    {
        std::vector<etcd::put_request> puts;
        if (of.task) {
            puts.push_back({names_.task(of.task->row.task_id), value_of(*of.task, of), 0});
        }
        for (const auto &model : of.models) {
            puts.push_back({names_.model(model.model_id), write_model(model.state, write_id_, index()), 0});
        }
        return puts;
    }

    std::string value_of(const replica_task &task, const past_write &of) const
    {
        task_row row = task.row;
        if (changes_later(of)) {
            row.document = no_document;
        }
        // etcd's revision in it is not looked at.
        row.sequence = task.row.sequence == of.at ? 0 : revision_of(1, creation_index(task.row.sequence));
        return write_task(row, task.updated_us, write_id_, index());
    }

    unsigned creation_index(std::uint64_t sequence) const
    {
        const auto here = created_.find(sequence);
        return here == created_.end() ? known_.find(sequence) : here->second;
    }

    const keys &names_;
    const creation_indexes &known_;
    std::string_view write_id_;
    batch_bounds bounds_;
    import_batch made_;
    std::size_t bytes_ = 0;
    std::map<std::string, std::size_t> places_; ///< of the puts, by key
    std::map<std::uint64_t, unsigned> created_; ///< those to change later
};

} // namespace


void creation_indexes::add(std::uint64_t sequence, unsigned index)
{
    all_.push_back(sequence * revisions_in_one + index);
}


unsigned creation_indexes::find(std::uint64_t sequence) const
{
    const auto at = std::ranges::lower_bound(all_, sequence * revisions_in_one);
    return at != all_.end() && *at / revisions_in_one == sequence ? index_of(*at) : 0;
}


import_batch make_import_batch(const keys &names, const std::deque<past_write> &writes, const creation_indexes &known,
                               std::string_view write_id, batch_bounds bounds)
{
    filling batch(names, known, write_id, bounds);
    for (const auto &write : writes) {
        if (!batch.add(write)) {
            break;
        }
    }
    return batch.take();
}

} // namespace rollout::cluster
