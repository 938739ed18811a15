// Gathers writes while one transaction is under way, and sends them together in the next: etcd syncs once for all.
#pragma once

#include "worker/async/clock.hpp"
#include "worker/cluster/keys.hpp"
#include "worker/journal/etcd/own_writes.hpp"
#include "worker/journal/etcd/store.hpp"
#include "worker/journal/etcd/writes.hpp"
#include "worker/journal/sqlite/gather_policy.hpp"

#include <chrono>
#include <cstddef>
#include <deque>
#include <functional>
#include <list>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace rollout::cluster {

/// A batch compares the cluster's meta, carries out each write as a transaction of its own, and puts the position. Writes
/// of one key are sent in order, each when the one before has ended. A transaction costs etcd as much as dozens of writes in
/// it: so after a large batch the next one is gathered as gather_policy says, and while that is under way, a second one is
/// sent only if it is full. A batch whose end is not known is sent again until etcd tells it, or for `settle_time`: what was
/// carried out then finds its own write id.
class writer {
  public:
    static constexpr std::size_t most_writes = 120; ///< etcd's --max-txn-ops is 128, of which 127 can be writes
    static constexpr std::size_t most_bytes = 1024 * 1024; ///< etcd's --max-request-bytes is 1.5 MiB
    static constexpr std::size_t most_under_way = 2;
    static constexpr std::chrono::milliseconds settle_time = std::chrono::seconds(10);
    static constexpr std::chrono::milliseconds longest_wait =
        std::chrono::seconds(2); ///< as a call waits for a member

    /// `on_attempt` as journal::on_attempt. `on_other_meta` is called if the cluster's meta is not the one that was given:
    /// nothing is written until it is given anew. All must outlive the writer.
    struct surroundings {
        store etcd;
        clock &time;
        keys names;
        own_writes &own;
        std::function<void(std::chrono::nanoseconds took, bool ok)> on_attempt;
        std::function<void()> on_other_meta;
    };

    explicit writer(surroundings around);

    /// Writes may be sent: the cluster's meta has this value.
    void open(std::string meta_value);

    /// Writes wait for open(), each for `longest_wait` at most, and fail with this sentence then.
    void close(std::string why);

    /// Every write fails with this sentence from now on.
    void end(std::string why);

    bool is_open() const noexcept { return !meta_.empty(); }

    void add(write_ptr wanted);

    /// Returns whether any write has not ended.
    bool busy() const noexcept { return !queue_.empty() || !under_way_.empty(); }

  private:
    struct batch {
        std::vector<write_ptr> writes;
        operation_ptr call;                     ///< or the pause before the next attempt
        std::chrono::milliseconds began{0};     ///< the first attempt
        std::chrono::milliseconds attempted{0}; ///< the last one
        bool in_doubt = false;                  ///< an earlier attempt may have been carried out
        std::chrono::milliseconds pause{0};     ///< before the next attempt
    };
    using batch_place = std::list<batch>::iterator;

    void give();
    void refuse_all();
    bool is_gathered();
    bool is_full() const;
    std::optional<batch> take();
    void send(batch_place which);
    void on_answer(batch_place which, etcd::answer<etcd::txn_answer> got);
    void settle(batch_place which, const etcd::txn_answer &answer);
    bool is_too_much(batch_place which, const etcd::failure &why);
    void wait(batch_place which);
    void fail_all(batch_place which, const outcome &why, bool in_doubt);
    batch release(batch_place which);
    void told(const batch &of, bool ok);

    surroundings around_;
    std::string meta_;   ///< the value that each batch compares; empty: closed
    std::string closed_; ///< why
    bool has_ended_ = false;
    std::deque<write_ptr> queue_;
    std::list<batch> under_way_;
    std::set<std::string> busy_keys_;
    std::size_t writes_at_once_ = most_writes; ///< what etcd has let pass
    std::size_t bytes_at_once_ = most_bytes;
    operation_ptr turn_end_;
    operation_ptr refusal_; ///< of what waits for open()
    gather_policy gathering_{std::chrono::milliseconds(20)};
    operation_ptr gathering_end_; ///< a batch is being gathered
    bool has_waited_ = false;     ///< for as long as it may, and is not sent yet
};

} // namespace rollout::cluster
