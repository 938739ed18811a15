// Removes old finished tasks from the journal, in the background.
#pragma once

#include "worker/async/clock.hpp"
#include "worker/journal/journal.hpp"

#include <chrono>
#include <cstdint>

namespace rollout {

/// Which final tasks go: those last changed longer ago than `age`, and the oldest of those that are more than `max_tasks`
/// (unfinished ones count, and stay). The latest task of a kind of a model that stands on a server stays
/// whatever its age.
struct retention_rule {
    std::chrono::days age{30};
    std::uint64_t max_tasks = 0;
};

/// Once an hour, a few rows at a time, and never more than a fifth of the journal's time: whoever posts meanwhile waits for a few
/// rows. On the loop's thread; the journal must outlive it.
class retention {
  public:
    retention(journal &from, clock &time) : journal_(from), time_(time) {}

    /// In force from the next sweep on.
    void use(retention_rule rule) { rule_ = rule; }

    void start() { sweep(); }

    /// No further steps. What the journal does just now may still end.
    void stop();

  private:
    void sweep();
    void step();
    void stepped(const outcome &ended, const purge_step &done, std::chrono::milliseconds began);
    void rest(const std::string &fault);

    journal &journal_;
    clock &time_;
    retention_rule rule_;
    purge_position at_;
    std::uint64_t excess_ = 0; ///< tasks that go whatever their age
    std::uint64_t removed_ = 0;
    operation_ptr pause_;
    bool stopped_ = false;
};

} // namespace rollout
