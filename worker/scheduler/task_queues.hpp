// The tasks that wait for their turn: a queue for each model, in the order of acceptance.
#pragma once

#include "worker/scheduler/urgency.hpp"

#include <compare>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

namespace rollout {

/// A task, and the model whose queue it is in.
struct task_name {
    std::string model_id;
    std::string task_id;

    auto operator<=>(const task_name &) const = default;
};

/// What is kept in memory of a waiting task; the rest is in the journal.
struct waiting_task {
    std::uint64_t sequence; ///< its position in the order of acceptance
    std::string task_id;
    std::int64_t created_us;
    urgency is;
    bool supersedes = false; ///< earlier deployments of its model that have not begun

    waiting_task numbered(std::uint64_t by_the_journal) const
    {
        waiting_task same = *this;
        same.sequence = by_the_journal;
        return same;
    }
};

class task_queues {
  public:
    using queue = std::deque<waiting_task>;

    /// Called if another task than before is the first of a model's queue, or the queue is empty now.
    std::function<void(const std::string &model_id)> on_first_changed;

    /// Called if a task is behind another one than before, or is now the first; not for a task that is pushed.
    std::function<void(const task_name &which)> on_moved;

    /// Puts a new task behind all others of its model.
    void push(const std::string &model_id, waiting_task last);

    /// Removes and returns the first task of a queue that is not empty.
    waiting_task pop(const std::string &model_id);

    /// Removes and returns a task, which must be there.
    waiting_task take(const task_name &which);

    /// Puts a task that was removed back where it was.
    void put_back(const std::string &model_id, waiting_task taken);

    bool contains(const task_name &which) const;

    /// Returns a model's queue; an empty one if none of its tasks waits.
    const queue &of(const std::string &model_id) const;

    /// Returns the queues that are not empty.
    const std::unordered_map<std::string, queue> &all() const noexcept { return queues_; }

    /// Returns the id of the task ahead of a waiting one; empty if that is the first.
    std::string before(const task_name &which) const;

    /// Returns the id of the last task of a model; empty if none waits.
    std::string last(const std::string &model_id) const;

    std::size_t size() const noexcept { return size_; }

    /// Returns when the oldest task was accepted, in microseconds since 1970, UTC; no value if none waits.
    std::optional<std::int64_t> oldest_us() const;

    /// The earlier deployments of a model that its last superseding one replaces.
    struct supersession {
        std::string newer; ///< its id; empty: none supersedes
        std::vector<waiting_task> older;
    };
    supersession superseded(const std::string &model_id) const;

  private:
    waiting_task remove(const std::string &model_id, const queue::const_iterator &position);
    void tell_moved(const std::string &model_id, const queue &tasks, const queue::const_iterator &position) const;

    std::unordered_map<std::string, queue> queues_;
    std::map<std::uint64_t, std::int64_t> accepted_us_; ///< by sequence
    std::size_t size_ = 0;
    std::size_t superseding_ = 0; ///< how many of all tasks supersede others
};

} // namespace rollout
