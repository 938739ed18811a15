// Removes old finished tasks from the journal, in the background.
#pragma once

#include "worker/async/clock.hpp"
#include "worker/journal/journal.hpp"

#include <chrono>
#include <cstdint>
#include <memory>

namespace rollout {

/// Which final tasks are removed: those last changed longer ago than `age`, and the oldest if there are more than
/// `max_tasks` (unfinished ones are counted, but not removed). The latest task of each kind of a model that is on a
/// server is kept, whatever its age.
struct retention_rule {
    std::chrono::days age{30};
    std::uint64_t max_tasks = 0;
};

/// Runs once an hour, a few rows at a time, and never uses more than a fifth of the journal's time: new tasks wait
/// for a few rows only. Runs on the loop's thread; the journal must outlive it.
class retention {
  public:
    retention(journal &from, clock &time) : journal_(from), time_(time) {}

    /// Sets the rule for the next sweep and later ones.
    void use(retention_rule rule) { rule_ = rule; }

    /// Nothing if it runs.
    void start();

    /// Takes no further steps, until it is started again. The step that the journal is running may still end.
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
    std::uint64_t excess_ = 0; ///< tasks to remove whatever their age
    std::uint64_t removed_ = 0;
    operation_ptr pause_;
    std::shared_ptr<int> run_; ///< from a start to the stop: what ends later counts no more
};

} // namespace rollout
