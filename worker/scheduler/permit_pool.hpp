// The permits that bound how many tasks work at a time (limits.max_concurrent_rollouts): who holds one, and in which order those
// who wait get the next.
#pragma once

#include "worker/async/clock.hpp"
#include "worker/rollout/work_permits.hpp"
#include "worker/scheduler/urgency.hpp"

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>

namespace rollout {

/// A model in the queue for a permit: with the first task of its queue, or with its task at work that waits for one.
struct turn {
    urgency is;
    std::uint64_t sequence; ///< of the task, in the order of acceptance
    std::string model_id;

    auto operator<=>(const turn &) const = default;
};

/// A model is in the queue with its first task, or at work, or neither. A task at work gives its permit back while it only waits
/// for something else, and is in the queue again when it is to work.
class permit_pool final : public work_permits {
  public:
    struct surroundings {
        std::function<std::uint64_t()> most;      ///< how many permits there are
        std::function<std::size_t()> taken_apart; ///< how many of them are taken by what is not a task

        /// The model's first task is at work from now on, with a permit if there was one.
        std::function<void(const std::string &model_id)> begin;

        std::function<void()> offer_rest; ///< what is not a task may take what no task wants
    };

    /// `time` outlives the pool.
    permit_pool(clock &time, surroundings around);

    /// Puts a model that is not at work into the queue; it leaves it in the turn that it had.
    void enqueue(turn with_first_task);

    /// Takes a model that is not at work out of the queue, if it is in it.
    void dequeue(const std::string &model_id);

    /// Gives what is free to those in the queue, by urgency, then by the order of acceptance. A task that has begun before a
    /// restart goes on without a permit, too.
    void hand_out();

    /// Hands out from the loop. For who gives a permit back in the middle of something.
    void hand_out_soon();

    /// Ends the work of a model's task, with its permit. What `acquire_permit` has returned to it is destroyed by now.
    void end(const std::string &model_id);

    /// Hands out nothing any more.
    void stop();

    bool has_permit(const std::string &model_id) const override;
    operation_ptr acquire_permit(const std::string &model_id, done_fn done) override;
    void release_permit(const std::string &model_id) override;

    /// Whether all permits are taken.
    bool is_full() const { return taken_ + around_.taken_apart() >= around_.most(); }

    /// Whether there is a permit that no task wants.
    bool has_rest() const { return !stopped_ && waiting_.empty() && !is_full(); }

    /// How many permits tasks hold.
    std::size_t taken() const noexcept { return taken_; }

    /// The models in the queue.
    const std::set<turn> &waiting() const noexcept { return waiting_; }

  private:
    class permit_wait;

    struct worker {
        std::uint64_t sequence;
        bool has_permit;
        permit_wait *waits = nullptr; ///< for a permit, if it does
    };

    void grant(worker &to);

    clock &time_;
    const surroundings around_;
    std::set<turn> waiting_;
    std::map<std::string, turn> queued_;    ///< of these, the models that are not at work
    std::map<std::string, worker> at_work_; ///< by model
    std::size_t taken_ = 0;
    operation_ptr soon_;
    bool stopped_ = false;
};

} // namespace rollout
