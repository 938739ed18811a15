// The journal of several gateways: in etcd, with a replica of it in an SQLite file on each host. Writes go to etcd and are
// answered when it has them; reads are answered by the replica, and those of one task or of a model's latest only when it
// has all that was written before.
#pragma once

#include "worker/async/clock.hpp"
#include "worker/cluster/keys.hpp"
#include "worker/etcd/client.hpp"
#include "worker/etcd/rpc_thread.hpp"
#include "worker/etcd/watch.hpp"
#include "worker/journal/etcd/follower.hpp"
#include "worker/journal/etcd/own_writes.hpp"
#include "worker/journal/etcd/read_index.hpp"
#include "worker/journal/etcd/writer.hpp"
#include "worker/journal/journal.hpp"
#include "worker/journal/sqlite/journal_replica.hpp"

#include <uv.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>

namespace rollout {

/// Callbacks of writes come in order for each task and each model, not over all. While etcd is away, a look-up is answered by
/// what the replica has; of what it has not, nobody knows whether it is there, and the look-up fails.
class etcd_journal final : public journal {
  public:
    struct place {
        std::string path; ///< of the replica
        std::string prefix;
        std::shared_ptr<const etcd::access> access;
    };

    /// Opens the replica; throws as replica does. The loop, the clock and the thread must outlive the journal. Until it
    /// has joined the cluster, writes fail, and reads are answered by what the replica had.
    etcd_journal(uv_loop_t *loop, clock &time, etcd::rpc_thread &thread, const place &where);
    ~etcd_journal() override;

    /// Begins to follow.
    void start();

    /// Follows no more, and sends nothing new. Before the journal is destroyed, the loop must run until it is no longer
    /// busy.
    void stop();
    bool busy() const noexcept;

    /// Returns whether the replica follows etcd.
    bool is_following() const noexcept
    {
        return follower_.is() == cluster::follower::state::following && !unwritable_since();
    }

    /// Returns the clock's time since which the replica could not be written; nothing if it can be.
    const std::optional<std::chrono::milliseconds> &unwritable_since() const noexcept
    {
        return follower_.unwritable_since();
    }

    /// Returns why it does not, as a sentence.
    std::string trouble() const { return follower_.trouble(); }

    /// Returns the clock's time at which the replica was last told of a change; 0: never. A leader makes one each 2 s.
    std::chrono::milliseconds heard_at() const noexcept { return follower_.heard_at(); }

    /// This rolloutd leads, with that token, the create_revision of the leader's key: its saves compare it. 0: it leads no
    /// more, or never did. While it leads, it puts a tick, so that no follower takes silence for a fault.
    void lead(std::int64_t token);

    /// Calls back when the replica has all that was written before this call; with `false` if that cannot be known.
    void current(std::function<void(bool)> done);

    /// Called when the replica's content has been replaced: everything that was read from it is out of date. `is_other`:
    /// by that of another cluster, or of one that was put back from a copy.
    std::function<void(bool is_other)> on_resynchronised;

    /// The id is empty until the replica has been filled for the first time.
    const std::string &id() const override { return replica_.position().journal_id; }
    std::uint64_t revision() const override { return replica_.position().revision; }

    bool is_shared() const override { return true; }
    bool is_current() const override { return is_following(); }

    void create(const task &wanted, bool only_find, created_fn done) override;
    void save(const task &changed, const model *with, saved_fn done) override;
    void save_model(const model &changed, saved_fn done) override;
    void purge(purge_position from, std::int64_t before_us, std::size_t rows, purged_fn done) override;

    void save_series(const std::string &task_id, const std::string &model_id, std::string document,
                     std::function<void(outcome)> done) override;

    // In this host's file only.
    void remember_gateway(const std::string &gateway, const std::string &processes) override;
    void forget_gateway(const std::string &gateway) override;

    void find(const std::string &task_id, found_fn done) override;
    void find_latest(task_kind kind, const std::string &model_id, found_fn done) override;
    void find_series(const std::string &task_id, series_fn done) override;
    void read_after(std::uint64_t revision, std::size_t max_bytes,
                    std::function<void(outcome, std::vector<task_row>)> done) override;
    void list(const task_filter &which, std::size_t limit, std::size_t max_bytes, listed_fn done) override;
    void list_models(const std::string &after, std::size_t limit, models_fn done) override;
    void count_tasks(std::function<void(outcome, std::uint64_t)> done) override;

    std::size_t count_unfinished() const override { return replica_.count_unfinished(); }
    void list_unfinished(std::uint64_t after, std::size_t max_bytes, listed_fn done) override;
    void list_all_models(const std::string &after, std::size_t limit, models_fn done) override;
    void list_gateways(std::function<void(outcome, std::vector<known_gateway>)> done) override;

  private:
    using read_fn = etcd::answer_fn<etcd::range_answer>;

    cluster::writer::surroundings around_writer();
    cluster::follower::surroundings around_follower(etcd::rpc_thread &thread, const place &where);
    void add(cluster::write_ptr wanted);
    void tick();
    void drop_old_series(const std::string &model_id);
    void find_known(const std::string &task_id, found_fn done);
    void find_in_etcd(const std::string &task_id, found_fn done);
    void read_in_etcd(const std::string &task_id, read_fn done);

    clock &time_;
    cluster::keys names_;
    etcd::client client_;
    journal_replica replica_;
    cluster::own_writes own_;
    cluster::writer writer_;
    cluster::read_index index_;
    std::mt19937 random_;
    cluster::follower follower_;
    std::uint64_t last_read_ = 0;
    std::map<std::uint64_t, operation_ptr> reads_; ///< of single keys, under way
    operation_ptr tick_;                           ///< under way, or the pause before it
};

} // namespace rollout
