// Unloads and removes revisions that no task could: those left in a model's `retired` when its task is over are
// retried, with growing pauses, until they are gone; and at once when a gateway that may have routed to them is back or
// gone. The pauses are not in the journal: after a restart they start over.
#pragma once

#include "worker/async/clock.hpp"
#include "worker/backend/backend.hpp"
#include "worker/config/settings.hpp"
#include "worker/domain/model.hpp"
#include "worker/journal/journal.hpp"
#include "worker/rollout/gateway_control.hpp"
#include "worker/scheduler/model_registry.hpp"

#include <chrono>
#include <compare>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <string>

namespace rollout {

/// Works on one revision at a time for each backend, and for each model. A model with a running task belongs to that
/// task: it is not tried, and an attempt that is under way is canceled by `release`. An unload or a removal takes one
/// of the permits of limits.max_concurrent_rollouts, and only one that no task waits for.
class unload_retry {
  public:
    using backend_fn = std::function<backend *(const std::string &name)>;

    /// Callbacks to the owner of the tasks.
    struct surroundings {
        std::function<bool(const std::string &model_id)> is_at_work; ///< whether a task of the model runs
        std::function<bool()> has_room;                              ///< for `permits() + 1`
        std::function<void()> permit_released;

        /// Completes once the monitor has released the revision; at once if it does not hold it.
        std::function<operation_ptr(const std::string &model_id, std::uint64_t revision, done_fn)> release;
    };

    /// A removal is noted in `models` once it is durable. All of these outlive the retry.
    unload_retry(model_registry &models, journal &journal, gateway_control &gateways, clock &time,
                 surroundings around);

    /// Uses these settings and backends from now on; failed attempts are retried soon. A backend lives as long as the
    /// `backend_of` that returned it.
    void use(std::shared_ptr<const settings> config, backend_fn backend_of);

    /// Starts nothing more, and cancels what is under way; `stopped` is called when nothing is left.
    void stop(std::function<void()> stopped);

    /// Schedules what the model's task has left behind.
    void on_task_ended(const std::string &model_id);

    /// Tries at once to remove revisions from that backend, a server of which answers again.
    void on_server_back(const std::string &backend);

    /// Tries at once what only a gateway has kept loaded: one has followed the routes further, or is no longer known.
    void on_gateway_progress();

    /// Starts attempts that wait for a permit, while one is free.
    void use_room();

    /// Cancels an attempt that is under way for the model. True: `then` is called once, from the loop, when it has
    /// ended; false: there was none.
    bool release(const std::string &model_id, std::function<void()> then);

    /// Returns how many permits are taken.
    std::size_t permits() const noexcept { return permits_; }

    /// Counts the revisions that no task could remove and that are still there, by backend; 0 for the other backends
    /// of the configuration. Revisions that a running task is about to remove are not counted.
    std::map<std::string, std::size_t> pending() const;

  private:
    class permit_wait;
    class model_write;

    struct revision_name {
        std::string model_id;
        std::uint64_t revision;

        auto operator<=>(const revision_name &) const = default;
    };

    enum class attempt_state : std::uint8_t {
        pausing, ///< before the next attempt, or until an attempt ahead of it has ended
        under_way,
        canceling, ///< an attempt that is about to end: a task has the model, or rolloutd stops
    };

    struct attempts {
        std::string backend;
        std::chrono::milliseconds not_before{0};
        unsigned failures = 0;
        std::string logged;           ///< the last cause that was logged
        bool awaits_gateways = false; ///< a gateway may still route to the revision
        attempt_state state = attempt_state::pausing;
        operation_ptr work; ///< the attempt under way
        bool has_permit = false;
        permit_wait *waits = nullptr;   ///< for a permit; null if it does not
        std::function<void()> released; ///< called at the end of `work`
    };

    const served_revision *find(const revision_name &which) const;
    std::string objection_of_gateways(const std::string &model_id) const;
    operation_ptr write_change(const revision_name &which, void (*change)(model &, std::uint64_t revision),
                               done_fn done);
    void schedule(const model &from);
    std::chrono::milliseconds pause_after(const std::string &backend, unsigned failures);
    bool may_start(const revision_name &which, const attempts &due) const;
    void start_due();
    void start(const revision_name &which, attempts &due);
    operation_ptr check_gateways(const revision_name &which, done_fn done);
    operation_ptr unload_and_remove(const revision_name &which, const served_revision &revision, backend *server,
                                    done_fn done);
    operation_ptr check_owing(const backend &server, const served_revision &revision, done_fn done);
    void on_ended(const revision_name &which, const outcome &result);
    void log_failure(const revision_name &which, attempts &failed, const std::string &why) const;
    static void cancel(attempts &under_way);

    model_registry &models_;
    journal &journal_;
    gateway_control &gateways_;
    clock &time_;
    const surroundings around_;
    std::shared_ptr<const settings> config_;
    backend_fn backend_of_;
    std::map<revision_name, attempts> attempts_;
    std::size_t permits_ = 0;
    operation_ptr pause_; ///< before the next attempt
    std::minstd_rand random_{std::random_device()()};
    std::function<void()> stopped_;
    bool stopping_ = false;
};

} // namespace rollout
