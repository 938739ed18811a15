// What an operator of etcd has to see to: its space, and that its history is compacted.
#pragma once

#include "worker/async/clock.hpp"
#include "worker/async/outcome.hpp"
#include "worker/etcd/calls.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

namespace rollout::etcd {

/// Asks a member how it is, and finds out how far back the history goes. Says in the log, once each time, that half of the
/// quota is used, and that it is not any more; that an alarm is raised, and that it is over; that nothing was compacted for
/// six hours, and that something was. Runs on the loop's thread.
class upkeep_watch {
  public:
    struct settings {
        std::string key;              ///< one that may be read, whether it is there or not
        std::int64_t quota_bytes = 0; ///< of a member that does not say its quota, as etcd does from 3.6 on
    };

    static constexpr std::chrono::milliseconds status_pause = std::chrono::seconds(5);
    static constexpr std::chrono::milliseconds history_pause = std::chrono::minutes(10);
    static constexpr std::chrono::milliseconds longest_uncompacted = std::chrono::hours(6);

    /// `asked` and `time` must outlive it.
    upkeep_watch(calls &asked, clock &time, settings of);

    void start();

    /// Returns why etcd takes no writes, or is not to be trusted, a sentence; empty while no alarm is known.
    const std::string &trouble() const noexcept { return trouble_; }

    /// Returns what the member has said last; nothing while none answers.
    const std::optional<status_answer> &status() const noexcept { return status_; }

    /// Returns the quota of the member, as it says or else by the settings.
    std::int64_t quota_bytes() const noexcept;

  private:
    void ask_status();
    void on_status(const answer<status_answer> &got);
    void check_alarms(const status_answer &of);
    void check_space(const status_answer &of);

    void look_at_history();
    void ask_for(std::int64_t revision);
    void on_revision(std::int64_t asked, const answer<range_answer> &got);
    void search();
    void on_history_known();

    calls &asked_;
    clock &time_;
    settings settings_;
    std::optional<status_answer> status_;
    std::string trouble_;
    bool is_half_full_ = false;
    operation_ptr asking_; ///< for the status, or the pause before

    // The history is kept from `kept_` on: that revision can be read, the one before cannot.
    std::int64_t compacted_ = 0;                ///< known to be compacted; 0: none is
    std::int64_t kept_ = 0;                     ///< known to be kept; 0: none is
    std::int64_t oldest_ = 0;                   ///< the oldest kept, when it was last known; 0: never
    std::chrono::milliseconds compacted_at_{0}; ///< when that was seen to change, or first known
    bool is_uncompacted_ = false;               ///< for so long that it was logged
    operation_ptr reading_;                     ///< the history, or the pause before
};

} // namespace rollout::etcd
