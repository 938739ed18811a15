#include "worker/journal/etcd/writes.hpp"

#include "common/base/json.hpp"
#include "worker/base/log.hpp"
#include "worker/journal/etcd/records.hpp"
#include "worker/journal/etcd/revision.hpp"
#include "worker/journal/sqlite/packed_text.hpp"

#include <utility>

namespace rollout::cluster {

namespace {

/// What a key costs in a request, in which it stands a few times.
constexpr std::size_t bytes_around = 256;

etcd::txn_step read_step(const std::string &key)
{
    etcd::range_request request;
    request.key = key;
    return {std::move(request)};
}


/// Returns what one of the reads of a failed transaction has found; null: nothing.
const etcd::key_value *found_at(const etcd::txn_answer &answer, std::size_t part)
{
    if (part >= answer.parts.size()) {
        return nullptr;
    }
    const auto *range = std::get_if<etcd::range_answer>(&answer.parts[part].is);
    return range == nullptr || range->found.empty() ? nullptr : &range->found.front();
}


/// The token is that of the time when the write was asked for: a former leader's must not be made by a later one.
void compare_token(etcd::txn_request &request, const keys &names, std::int64_t token)
{
    if (token != 0) {
        request.compares.push_back(etcd::compare::created_at(names.leader(), token));
    }
}


class creation_write final : public write {
  public:
    creation_write(const cluster::keys &names, own_writes &own, const task &wanted, journal::created_fn done)
        : keys_{names.task(wanted.task_id)}, write_id_(own.next_id()), row_(row_of(wanted, 0)),
          updated_us_(wanted.updated_us), done_(std::move(done))
    {
        row_.sequence = 0;
    }

    const std::vector<std::string> &keys() const noexcept override { return keys_; }
    std::size_t bytes() const noexcept override { return row_.document.size() + bytes_around; }
    const char *name() const noexcept override { return "create"; }

    etcd::txn_request request(unsigned index, const own_writes &) override
    {
        const std::string &key = keys_.front();
        return {{etcd::compare::absent(key)},
                {{etcd::put_request{key, write_task(row_, updated_us_, write_id_, index), 0}}},
                {read_step(key)}};
    }

    bool settle(const etcd::txn_answer &answer, std::int64_t revision, unsigned index, own_writes &) override
    {
        if (answer.succeeded) {
            row_.sequence = row_.revision = revision_of(revision, index);
            return true;
        }
        const auto *found = found_at(answer, 0);
        if (found == nullptr) {
            return false; // removed meanwhile
        }
        auto read = read_task(*found, row_.task_id);
        if (!read) {
            result_ = outcome::permanent(read.sentence());
            return true;
        }
        creation_ = read->write_id == write_id_     ? journal::creation::created
                    : same_request(read->row, row_) ? journal::creation::existed
                                                    : journal::creation::conflict;
        row_ = std::move(read->row);
        return true;
    }

    void fail(outcome why, bool in_doubt, own_writes &) override
    {
        result_ = std::move(why);
        if (in_doubt) {
            result_.detail += ". It may have been created all the same";
        }
    }

    void end() override { done_(result_, creation_, row_); }

  private:
    std::vector<std::string> keys_;
    std::string write_id_;
    task_row row_; ///< the new task, unless another one with its id is found
    std::int64_t updated_us_;
    journal::created_fn done_;
    outcome result_;
    journal::creation creation_ = journal::creation::created;
};


/// Writes a task, a model, or both.
class saving_write final : public write {
  public:
    saving_write(const cluster::keys &names, own_writes &own, const task *changed, const model *with,
                 journal::saved_fn done)
        : names_(names), write_id_(own.next_id()), token_(own.token()), done_(std::move(done))
    {
        if (changed != nullptr) {
            row_ = row_of(*changed, changed->revision);
            updated_us_ = changed->updated_us;
            keys_.push_back(names.task(changed->task_id));
            read_.push_back(mod_revision_of(changed->revision));
        }
        if (with != nullptr) {
            model_id_ = with->model_id;
            state_ = json_compact(model_to_json(*with).get());
            keys_.push_back(names.model(with->model_id));
            read_.push_back(mod_revision_of(with->route_revision));
        }
    }

    const std::vector<std::string> &keys() const noexcept override { return keys_; }
    std::size_t bytes() const noexcept override { return row_.document.size() + state_.size() + 2 * bytes_around; }
    const char *name() const noexcept override { return has_task() ? "save" : "save_model"; }

    etcd::txn_request request(unsigned index, const own_writes &own) override
    {
        etcd::txn_request made;
        compare_token(made, names_, token_);
        for (std::size_t i = 0; i < keys_.size(); ++i) {
            made.compares.push_back(etcd::compare::unchanged_since(keys_[i], own.base(keys_[i], read_[i])));
            made.otherwise.push_back(read_step(keys_[i]));
        }
        if (has_task()) {
            made.then.push_back(
                {etcd::put_request{keys_.front(), write_task(row_, updated_us_, write_id_, index), 0}});
        }
        if (!model_id_.empty()) {
            made.then.push_back({etcd::put_request{keys_.back(), write_model(state_, write_id_, index), 0}});
        }
        return made;
    }

    bool settle(const etcd::txn_answer &answer, std::int64_t revision, unsigned index, own_writes &own) override
    {
        if (answer.succeeded) {
            on_made(revision_of(revision, index), own);
            return true;
        }
        bool may_build_on_it = false;
        for (std::size_t i = 0; i < keys_.size(); ++i) {
            const auto found = find(answer, i);
            if (!found.fault.empty()) {
                result_ = outcome::permanent(found.fault);
                return true;
            }
            if (found.write_id == write_id_) {
                on_made(found.revision, own);
                return true;
            }
            const auto modified = mod_revision_of(found.revision);
            if (modified > own.base(keys_[i], read_[i]) && own.was_doubtful(keys_[i], found.write_id)) {
                read_[i] = modified; // an earlier write of ours was made after all: this one comes after it
                may_build_on_it = true;
            }
        }
        if (may_build_on_it) {
            return false;
        }
        result_ = outcome::lost((has_task() ? "task " + row_.task_id : "model " + model_id_) +
                                " was not written: another rolloutd leads, or has changed it meanwhile");
        return true;
    }

    void fail(outcome why, bool in_doubt, own_writes &own) override
    {
        if (in_doubt) {
            for (const auto &key : keys_) {
                own.on_doubt(key, write_id_);
            }
        }
        result_ = std::move(why);
    }

    void end() override { done_(result_, revision_); }

  private:
    struct finding {
        std::uint64_t revision = 0; ///< 0: there is none
        std::string write_id = {};
        std::string fault = {};
    };

    bool has_task() const noexcept { return !row_.task_id.empty(); }

    finding find(const etcd::txn_answer &answer, std::size_t i) const
    {
        const auto *entry = found_at(answer, i);
        if (entry == nullptr) {
            return {};
        }
        if (has_task() && i == 0) {
            auto read = read_task(*entry, row_.task_id);
            return read ? finding{read->row.revision, std::move(read->write_id)} : finding{0, {}, read.sentence()};
        }
        auto read = read_model(*entry, model_id_);
        return read ? finding{read->revision, std::move(read->write_id)} : finding{0, {}, read.sentence()};
    }

    void on_made(std::uint64_t revision, own_writes &own)
    {
        revision_ = revision;
        for (const auto &key : keys_) {
            own.on_written(key, mod_revision_of(revision));
        }
        if (has_task() && is_final(row_.status)) {
            own.forget(keys_.front());
        }
    }

    cluster::keys names_;
    std::string write_id_;
    std::int64_t token_;             ///< of the leader, when this was asked for; 0: none
    std::vector<std::string> keys_;  ///< of the task, then of the model
    std::vector<std::int64_t> read_; ///< etcd's revisions that the caller has read, of the same
    task_row row_;                   ///< without a task_id: only the model is written
    std::int64_t updated_us_ = 0;
    std::string model_id_; ///< empty: only the task is written
    std::string state_;
    journal::saved_fn done_;
    outcome result_;
    std::uint64_t revision_ = 0;
};


/// Nothing builds on a series: the last one stays.
class series_write final : public write {
  public:
    series_write(const cluster::keys &names, const own_writes &own, const std::string &task_id, std::string packed,
                 std::function<void(outcome)> done)
        : names_(names), task_key_(names.task(task_id)), keys_{names.series(task_id)}, token_(own.token()),
          task_id_(task_id), packed_(std::move(packed)), done_(std::move(done))
    {
    }

    const std::vector<std::string> &keys() const noexcept override { return keys_; }
    std::size_t bytes() const noexcept override { return packed_.size() + bytes_around; }
    const char *name() const noexcept override { return "save_series"; }

    etcd::txn_request request(unsigned, const own_writes &) override
    {
        etcd::txn_request made;
        compare_token(made, names_, token_);
        made.compares.push_back(etcd::compare::present(task_key_));
        made.then.push_back({etcd::put_request{keys_.front(), packed_, 0}});
        made.otherwise.push_back(read_step(task_key_));
        return made;
    }

    bool settle(const etcd::txn_answer &answer, std::int64_t, unsigned, own_writes &) override
    {
        if (!answer.succeeded && found_at(answer, 0) != nullptr) {
            result_ = outcome::lost("the series of task " + task_id_ + " was not written: another rolloutd leads");
        }
        return true;
    }

    void fail(outcome why, bool, own_writes &) override { result_ = std::move(why); }
    void end() override { done_(result_); }

  private:
    cluster::keys names_;
    std::string task_key_;
    std::vector<std::string> keys_;
    std::int64_t token_;
    std::string task_id_;
    std::string packed_;
    std::function<void(outcome)> done_;
    outcome result_;
};


class series_removal final : public write {
  public:
    series_removal(const cluster::keys &names, const own_writes &own, const std::string &task_id)
        : names_(names), keys_{names.series(task_id)}, token_(own.token())
    {
    }

    const std::vector<std::string> &keys() const noexcept override { return keys_; }
    std::size_t bytes() const noexcept override { return bytes_around; }
    const char *name() const noexcept override { return "drop_series"; }

    etcd::txn_request request(unsigned, const own_writes &) override
    {
        etcd::txn_request made;
        compare_token(made, names_, token_);
        made.then.push_back({etcd::delete_request{keys_.front(), {}}});
        return made;
    }

    bool settle(const etcd::txn_answer &, std::int64_t, unsigned, own_writes &) override { return true; }

    /// With the next series of the model, it is tried again.
    void fail(outcome why, bool, own_writes &) override
    {
        log(log_level::debug, "An old series could not be removed from etcd: " + why.detail);
    }

    void end() override {}

  private:
    cluster::keys names_;
    std::vector<std::string> keys_;
    std::int64_t token_;
};


class removing_write final : public write {
  public:
    removing_write(const cluster::keys &names, const own_writes &own, const std::string &task_id,
                   std::uint64_t revision, writes::removed_fn done)
        : names_(names), keys_{names.task(task_id), names.series(task_id)}, revision_(revision), token_(own.token()),
          done_(std::move(done))
    {
    }

    const std::vector<std::string> &keys() const noexcept override { return keys_; }
    std::size_t bytes() const noexcept override { return bytes_around; }
    const char *name() const noexcept override { return "purge"; }

    etcd::txn_request request(unsigned, const own_writes &) override
    {
        etcd::txn_request made;
        compare_token(made, names_, token_);
        made.compares.push_back(etcd::compare::unchanged_since(keys_.front(), mod_revision_of(revision_)));
        for (const auto &key : keys_) {
            made.then.push_back({etcd::delete_request{key, {}}});
        }
        return made;
    }

    bool settle(const etcd::txn_answer &answer, std::int64_t, unsigned, own_writes &) override
    {
        removed_ = answer.succeeded;
        return true;
    }

    void fail(outcome why, bool, own_writes &) override { result_ = std::move(why); }
    void end() override { done_(result_, removed_); }

  private:
    cluster::keys names_;
    std::vector<std::string> keys_;
    std::uint64_t revision_;
    std::int64_t token_;
    writes::removed_fn done_;
    outcome result_;
    bool removed_ = false;
};

} // namespace


journal::creation creation_of(const etcd::range_answer &found, task_row &row, outcome &fault)
{
    if (found.found.empty()) {
        return journal::creation::absent;
    }
    auto read = read_task(found.found.front(), row.task_id);
    if (!read) {
        fault = outcome::permanent(read.sentence());
        return journal::creation::absent;
    }
    const auto creation = same_request(read->row, row) ? journal::creation::existed : journal::creation::conflict;
    row = std::move(read->row);
    return creation;
}


namespace writes {

write_ptr create(const keys &names, own_writes &own, const task &wanted, journal::created_fn done)
{
    return std::make_unique<creation_write>(names, own, wanted, std::move(done));
}


write_ptr save(const keys &names, own_writes &own, const task &changed, const model *with, journal::saved_fn done)
{
    return std::make_unique<saving_write>(names, own, &changed, with, std::move(done));
}


write_ptr save_model(const keys &names, own_writes &own, const model &changed, journal::saved_fn done)
{
    return std::make_unique<saving_write>(names, own, nullptr, &changed, std::move(done));
}


write_ptr save_series(const keys &names, const own_writes &own, const std::string &task_id,
                      const std::string &document, std::function<void(outcome)> done)
{
    return std::make_unique<series_write>(names, own, task_id, pack_text(document), std::move(done));
}


write_ptr remove_series(const keys &names, const own_writes &own, const std::string &task_id)
{
    return std::make_unique<series_removal>(names, own, task_id);
}


write_ptr remove(const keys &names, const own_writes &own, const std::string &task_id, std::uint64_t revision,
                 removed_fn done)
{
    return std::make_unique<removing_write>(names, own, task_id, revision, std::move(done));
}


etcd::put_request position(const keys &names, const own_writes &own, std::int64_t wall_us)
{
    return {names.position(), write_position({own.writer(), wall_us, own.host()}), 0};
}

} // namespace writes

} // namespace rollout::cluster
