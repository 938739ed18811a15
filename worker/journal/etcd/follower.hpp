// Brings what is written to etcd into the replica: by one watch, and by reading everything anew if the watch cannot go on
// from where the replica is.
#pragma once

#include "worker/async/clock.hpp"
#include "worker/cluster/keys.hpp"
#include "worker/etcd/watch.hpp"
#include "worker/journal/etcd/changes.hpp"
#include "worker/journal/etcd/records.hpp"
#include "worker/journal/etcd/store.hpp"
#include "worker/journal/sqlite/journal_replica.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace rollout::cluster {

/// An open watch: etcd::watch, or a test's stand-in.
class open_watch {
  public:
    virtual ~open_watch() = default;
    virtual void applied(std::int64_t mod_revision) = 0;
};

using watch_fn = std::function<std::unique_ptr<open_watch>(etcd::watched_range, etcd::watcher &)>;

class follower final : private etcd::watcher {
  public:
    enum class state {
        joining,         ///< reads what the cluster is, and whether the replica is a part of its history
        resynchronising, ///< reads everything into a shadow of the replica
        following,
        checking, ///< follows, but the member may have been put back from a copy: changes wait
        stopped,
    };

    /// All must outlive the follower, or be callable for as long as it exists. Each callback may be null, and is called
    /// from the loop.
    struct surroundings {
        store etcd;
        watch_fn watch;
        clock &time;
        keys names;
        rollout::journal_replica &replica;
        std::function<double()> random; ///< 0 to 1, without 1: spreads the hosts that read everything
        std::string writer{};           ///< own_writes' of this rolloutd, whose clock is this one

        /// The cluster's meta was read: what is written must compare this value.
        std::function<void(const meta_record &meta, const std::string &value)> on_joined;

        /// rolloutd cannot be a part of the cluster: a sentence. It is tried again.
        std::function<void(const std::string &why)> on_refused;

        /// The replica has these changes, in addition to those before them.
        std::function<void(const journal_news &news)> on_applied;

        /// The replica's content was replaced. `is_other`: by that of another cluster, or of one that was put back from
        /// a copy; else by a later one.
        std::function<void(bool is_other)> on_resynchronised;
    };

    static constexpr std::chrono::milliseconds silence = std::chrono::seconds(6);
    static constexpr std::chrono::milliseconds retry_pause = std::chrono::seconds(1);
    static constexpr std::chrono::milliseconds spread = std::chrono::seconds(10);
    static constexpr std::int64_t page = 500;
    static constexpr std::chrono::milliseconds clock_tolerance = std::chrono::seconds(5);
    static constexpr std::size_t most_unapplied = 16; ///< responses of the watch that the replica may lag behind

    explicit follower(surroundings around);
    ~follower() override;
    follower(const follower &) = delete;
    follower &operator=(const follower &) = delete;

    void start();

    /// Follows no more. The callbacks of the replica's writes may still come.
    void stop();

    /// Reads the cluster's meta anew, and goes on from there. Nothing once it was stopped.
    void rejoin();

    state is() const noexcept { return state_; }

    /// Returns the clock's time since which the replica could not be written; nothing if it can be.
    const std::optional<std::chrono::milliseconds> &unwritable_since() const noexcept { return unwritable_since_; }

    /// Returns why it does not follow, as a sentence; empty if it does.
    std::string trouble() const;

    /// Returns the clock's time at which etcd has last told of a change, or its history was read; 0: never.
    std::chrono::milliseconds heard_at() const noexcept { return heard_at_; }

  private:
    void on_events(std::vector<etcd::watch_event> events) override;
    void on_compacted(std::int64_t oldest) override;
    void on_trouble(const etcd::failure &why) override;

    void join();
    void on_meta(const etcd::answer<etcd::range_answer> &got);
    void create_meta();
    void check_history(std::int64_t newest, std::uint64_t cluster);
    void on_mark(const etcd::answer<etcd::range_answer> &got);
    void history_is_ours();
    void follow();
    void take(const std::vector<etcd::watch_event> &events);
    void check_clock(const std::string &mark);
    void apply(followed_changes changes);
    void on_answer(const outcome &result, followed_changes &changes, std::uint64_t before, std::uint64_t round);

    void resynchronise(const std::string &why, std::chrono::milliseconds after);
    void read_page();
    void on_page(const etcd::answer<etcd::range_answer> &got);
    void shadow_failed(const outcome &why);
    void note_unwritable(const outcome &why);
    void swap();

    void say(const std::string &why);
    void say_faults(const std::vector<std::string> &faults) const;
    void retry(std::function<void()> what);
    void drop_changes();

    surroundings around_;
    state state_ = state::joining;
    std::string trouble_ = "etcd has not answered yet"; ///< of the first question: the client knows more
    bool is_unanswered_ = true;                         ///< no question has been answered, or has failed, yet
    bool is_silent_ = false;                            ///< the watch tells of no change, which has been logged
    std::chrono::milliseconds said_at_{0};              ///< when a trouble was last logged
    meta_record meta_;
    std::string meta_value_;
    std::uint64_t cluster_ = 0;          ///< etcd's own id
    std::set<std::string> wrong_clocks_; ///< of those writers, which has been logged
    std::chrono::milliseconds heard_at_{0};
    std::optional<std::chrono::milliseconds> unwritable_since_; ///< until something is written
    std::int64_t newest_ = 0;                                   ///< etcd's revision when it was last asked
    std::unique_ptr<open_watch> watch_;
    std::vector<etcd::watch_event> held_; ///< while the history is checked
    std::string checked_mark_;            ///< the replica's when the history's was asked for
    operation_ptr call_;                  ///< under way, or the pause before it is made again

    // What the replica is told.
    replica_position queued_;   ///< to which the changes lead that it was told of
    std::size_t unapplied_ = 0; ///< it has yet to answer to so many
    std::int64_t owed_ = 0;     ///< the watch waits for that revision; 0: it goes on
    bool joins_then_ = false;   ///< join() waits until it has answered
    std::uint64_t round_ = 0;   ///< of what the replica is told: what comes of an earlier one is ignored

    // While everything is read.
    std::int64_t fixed_ = 0; ///< etcd's revision at which it is read
    std::string next_key_;
    std::string mark_;
    std::uint64_t read_ = 0; ///< entries
    bool is_other_ = false;
};

} // namespace rollout::cluster
