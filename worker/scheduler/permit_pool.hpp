// The permits that bound how many tasks work at a time (limits.max_concurrent_rollouts): which tasks hold one, and in
// which order waiting ones get the next.
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

/// A model in the queue for a permit: with the first task of its queue, or with its running task if that waits for
/// one.
struct turn {
    urgency is;
    std::uint64_t sequence; ///< of the task, in the order of acceptance
    std::string model_id;

    auto operator<=>(const turn &) const = default;
};

/// A model is in the queue with its first task, or has a running task, or neither. A running task releases its permit
/// while it only waits for something else, and is in the queue again when it is ready to work.
class permit_pool final : public work_permits {
  public:
    struct surroundings {
        std::function<std::uint64_t()> most;          ///< the number of permits
        std::function<std::size_t()> taken_by_others; ///< how many of them are taken by anything but tasks

        /// Starts the model's first task, which has a permit if one was free.
        std::function<void(const std::string &model_id)> begin;

        std::function<void()> offer_rest; ///< what is not a task may use what no task wants
    };

    /// `time` outlives the pool.
    permit_pool(clock &time, surroundings around);

    /// Puts a model without a running task into the queue; it leaves the queue when its turn comes.
    void enqueue(turn with_first_task);

    /// Removes a model without a running task from the queue, if it is there.
    void dequeue(const std::string &model_id);

    /// Gives the free permits to models in the queue, by urgency, then in the order of acceptance. A task that began
    /// before a restart continues even without a permit.
    void hand_out();

    /// Hands out from the loop, for callers that release a permit in the middle of something else.
    void hand_out_soon();

    /// Ends a model's running task and releases its permit. The operation that `acquire_permit` has returned to it
    /// must be destroyed by now.
    void end(const std::string &model_id);

    /// Hands out no more permits.
    void stop();

    bool has_permit(const std::string &model_id) const override;
    operation_ptr acquire_permit(const std::string &model_id, done_fn done) override;
    void release_permit(const std::string &model_id) override;

    /// Returns whether all permits are taken.
    bool is_full() const { return taken_ + around_.taken_by_others() >= around_.most(); }

    /// Returns whether there is a permit that no task wants.
    bool has_rest() const { return !stopped_ && waiting_.empty() && !is_full(); }

    /// Returns how many permits tasks hold.
    std::size_t taken() const noexcept { return taken_; }

    /// Returns the models in the queue.
    const std::set<turn> &waiting() const noexcept { return waiting_; }

  private:
    class permit_wait;

    struct worker {
        std::uint64_t sequence;
        bool has_permit;
        permit_wait *waits = nullptr; ///< for a permit; null if it does not
    };

    void grant(worker &to);

    clock &time_;
    const surroundings around_;
    std::set<turn> waiting_;
    std::map<std::string, turn> queued_;    ///< those of them without a running task
    std::map<std::string, worker> at_work_; ///< by model
    std::size_t taken_ = 0;
    operation_ptr soon_;
    bool stopped_ = false;
};

} // namespace rollout
