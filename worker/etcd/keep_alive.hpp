// A lease that is kept alive for as long as this object lives.
#pragma once

#include "worker/async/clock.hpp"
#include "worker/async/completion.hpp"
#include "worker/async/outcome.hpp"
#include "worker/etcd/calls.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>

namespace rollout::etcd {

/// Renews the lease four times in its time to live, one renewal at a time; sooner after one that has failed. The lease is a
/// hint, not a lock: etcd may end it early, and has answered renewals of leases that were gone. What counts is a compare in
/// the transaction that matters.
class keep_alive {
  public:
    using renew_fn = std::function<operation_ptr(lease_renewal, answer_fn<lease_answer>)>;

    /// `asked_at`: the clock's time when the lease was asked for. `on_lost` runs once, from the loop, with a sentence, if the
    /// lease ends or could not be renewed within its time by this machine's clock, less `margin`: to be lost here before
    /// etcd ends it takes one. It may destroy this object.
    keep_alive(renew_fn renew, clock &time, const lease_answer &lease, std::chrono::milliseconds asked_at,
               std::function<void(std::string)> on_lost,
               std::chrono::milliseconds margin = std::chrono::milliseconds(0));
    keep_alive(const keep_alive &) = delete;
    keep_alive &operator=(const keep_alive &) = delete;

    std::int64_t id() const noexcept { return id_; }

    /// Returns the clock's time until which the lease lives: from the moment when the last renewal that was answered was
    /// sent, less the margin.
    std::chrono::milliseconds until() const noexcept { return until_; }

    /// Returns whether that time has not passed, nor has etcd said that the lease has ended.
    bool lives() const { return !lost_ && time_.now() < until_; }

  private:
    void wait(std::chrono::milliseconds time);
    void renew();
    void on_answer(std::chrono::milliseconds sent_at, const answer<lease_answer> &got);
    void set_end(std::chrono::milliseconds until);
    void lose(std::string why);

    renew_fn renew_;
    clock &time_;
    std::int64_t id_;
    std::chrono::milliseconds ttl_;
    std::chrono::milliseconds margin_;
    std::chrono::milliseconds until_;
    bool lost_ = false;
    std::string trouble_; ///< why the last renewal failed
    completion<std::string> on_lost_;
    operation_ptr pause_;
    operation_ptr end_; ///< at `until_`
    operation_ptr renewal_;
};

} // namespace rollout::etcd
