// Tells when the replica has all that had been written when it was asked: one read of etcd for all who ask at a time.
#pragma once

#include "worker/async/clock.hpp"
#include "worker/cluster/keys.hpp"
#include "worker/journal/etcd/store.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <vector>

namespace rollout::cluster {

class read_index {
  public:
    /// `current`: the replica has everything; else etcd did not answer, or the replica has not come that far in time.
    using known_fn = std::function<void(bool current)>;

    /// How long the replica may take to apply what the read has shown.
    static constexpr std::chrono::milliseconds apply_time = std::chrono::seconds(2);

    /// After a read that failed, those who ask are told so at once for that long.
    static constexpr std::chrono::milliseconds away_time = std::chrono::seconds(1);

    /// All must outlive it.
    read_index(store etcd, clock &time, keys names);

    /// Calls back from the loop.
    void ask(known_fn done);

    /// The replica has applied etcd's changes up to that revision. It may be lower than an earlier one, after
    /// etcd was put back from a copy.
    void on_applied(std::int64_t mod_revision);

    /// A read of etcd has failed elsewhere: those who ask soon are told at once.
    void on_away() { away_until_ = time_.now() + away_time; }
    bool is_away() const { return time_.now() < away_until_; }

    /// Returns whether anybody waits.
    bool busy() const noexcept { return reading_ || answering_ || !asked_.empty() || !waiting_.empty(); }

  private:
    struct waiter {
        std::int64_t revision = 0;
        std::vector<known_fn> who;
        operation_ptr alarm;
    };

    void read();
    void on_read(const etcd::answer<etcd::range_answer> &got);
    void answer_soon(std::vector<known_fn> who, bool current);

    store etcd_;
    clock &time_;
    keys names_;
    std::int64_t applied_ = 0;
    std::vector<known_fn> asked_;    ///< for the next read
    std::vector<known_fn> read_for_; ///< by the read under way
    std::list<waiter> waiting_;      ///< for the replica
    std::chrono::milliseconds away_until_{0};
    operation_ptr reading_;
    operation_ptr answering_;
    std::vector<std::pair<std::vector<known_fn>, bool>> answers_; ///< to be given in the loop's next turn
};

} // namespace rollout::cluster
