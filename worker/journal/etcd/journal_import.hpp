// Moves a journal into etcd, where no rolloutd may be yet. Until it is whole, s/meta says that it is being imported: every
// rolloutd waits, and nothing of it is visible.
#pragma once

#include "worker/async/clock.hpp"
#include "worker/async/completion.hpp"
#include "worker/cluster/keys.hpp"
#include "worker/journal/etcd/import_batch.hpp"
#include "worker/journal/etcd/store.hpp"
#include "worker/journal/sqlite/journal_source.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <vector>

namespace rollout::cluster {

/// Each transaction compares the mark in s/rev that the one before has put: each is carried out once and in order, however
/// often it is sent, and an import stops as soon as anybody else writes. Memory is taken for some batches.
class journal_import {
  public:
    struct surroundings {
        store etcd;
        clock &time;
        keys names;
        journal_source &from;

        /// Put once the journal is there, before any rolloutd may use it: what is known beside the tasks.
        std::vector<etcd::put_request> also = {};

        /// Called between transactions with the number of tasks that are there, for a line that says so. May be null.
        std::function<void(std::uint64_t tasks)> on_progress;
    };

    /// How long the first call is repeated while etcd does not answer, and each later one.
    static constexpr std::chrono::milliseconds first_time = std::chrono::seconds(10);
    static constexpr std::chrono::milliseconds settle_time = std::chrono::seconds(30);

    /// `done` is called once, from the loop. If it fails for good, nothing was written, or it says what is left and what to
    /// do. All must outlive the import.
    journal_import(surroundings around, done_fn done);

    void start();

    /// Returns the id that the cluster has: a new one, as the tasks have other revisions than in the journal.
    const std::string &id() const noexcept { return id_; }

  private:
    using next_fn = void (journal_import::*)();
    using found_fn = void (journal_import::*)(const etcd::range_answer &);

    void on_meta(const etcd::range_answer &found);
    void claim(etcd::compare condition);
    void on_claimed();
    void refuse_content(const etcd::range_answer &found);
    void clear();
    void on_old_keys(const etcd::range_answer &found);
    void next_batch();
    void on_batch();
    void next_series();
    void on_series();
    void next_of_also();
    void on_also();
    void on_tasks_counted(const etcd::range_answer &found);
    void on_models_counted(const etcd::range_answer &found);
    void on_finished();
    void on_final_meta(const etcd::range_answer &found);

    void read(etcd::range_request request, found_fn then);
    void send_read();
    void on_read(const etcd::answer<etcd::range_answer> &got);
    void advance(std::vector<etcd::txn_step> steps, next_fn then);
    void send(etcd::txn_request request, next_fn then);
    void send_again();
    void on_answer(const etcd::answer<etcd::txn_answer> &got);
    void on_mark(const etcd::range_answer &found);
    void make_smaller(const etcd::failure &why);
    void try_again(const etcd::failure &why, next_fn what);
    void fail(outcome why);

    std::string next_mark();
    std::string meta_value(bool is_under_way) const;

    surroundings around_;
    completion<outcome> done_;
    std::string id_;
    std::string wanted_mark_; ///< the value of s/rev, from the transaction under way on

    // The transaction under way.
    etcd::txn_request request_;
    next_fn then_ = nullptr;

    // The read under way.
    etcd::range_request asked_;
    found_fn then_read_ = nullptr;

    operation_ptr call_;                 ///< or the pause before it
    std::chrono::milliseconds began_{0}; ///< the first attempt of what is under way
    bool is_claimed_ = false;            ///< s/meta says that this import is under way, or may
    std::uint64_t marks_ = 0;

    std::size_t kind_to_clear_ = 0;
    batch_bounds bounds_;
    std::deque<past_write> writes_; ///< the next ones
    bool is_read_ = false;          ///< there are no more
    creation_indexes indexes_;
    import_batch batch_;                ///< under way
    std::deque<replica_series> series_; ///< the next ones
    std::size_t series_in_batch_ = 0;
    bool are_series_read_ = false; ///< there are no more
    std::size_t also_put_ = 0;     ///< of `also`
    std::size_t also_in_batch_ = 0;
    std::uint64_t tasks_ = 0; ///< that are in etcd
};

} // namespace rollout::cluster
