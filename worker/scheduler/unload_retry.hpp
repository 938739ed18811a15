// Takes off their servers the revisions that no task could: those that are left among a model's `retired` when its task is
// over are tried again, with growing pauses, until they are gone. Nothing of the pauses is in the journal: after a restart they
// begin anew.
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

/// One revision at a time of each backend, and of each model. A model whose task is at work is the task's alone: it is not
/// tried, and what is under way of it is canceled by `release`. An unload or a removal takes one of the permits of
/// limits.max_concurrent_rollouts, and only one that no task waits for.
class unload_retry {
  public:
    using backend_fn = std::function<backend *(const std::string &name)>;

    /// What the owner of the tasks says and is told.
    struct surroundings {
        std::function<bool(const std::string &model_id)> is_at_work; ///< a task of the model
        std::function<bool()> has_room;                              ///< for `permits() + 1`
        std::function<void()> permit_released;

        /// Completes once the monitor of lost models has released the revision; at once if it does not hold it.
        std::function<operation_ptr(const std::string &model_id, std::uint64_t revision, done_fn)> release;
    };

    /// What is taken off is noted in `models` once the journal has it. All of these outlive the retry.
    unload_retry(model_registry &models, journal &journal, gateway_control &gateways, clock &time,
                 surroundings around);

    /// Tries by these settings and with these backends from now on; what has failed is tried again soon. A backend lives as
    /// long as the `backend_of` that names it.
    void use(std::shared_ptr<const settings> config, backend_fn backend_of);

    /// Starts nothing more, and cancels what is under way; `stopped` is called when nothing is.
    void stop(std::function<void()> stopped);

    /// Takes up what the model's task has left.
    void on_task_ended(const std::string &model_id);

    /// Tries at once what is to go from that backend, of which a server answers again.
    void on_server_back(const std::string &backend);

    /// Starts what waits for a permit, if there is one.
    void use_room();

    /// Cancels what is under way of the model. True: `then` is called once, from the loop, when it has ended; false: nothing is.
    bool release(const std::string &model_id, std::function<void()> then);

    /// Counts the permits that are taken.
    std::size_t permits() const noexcept { return permits_; }

    /// Counts the revisions that no task could take off each backend, and that are there yet; 0 for the configuration's others.
    /// What a task that is at work is about to take off is not among them.
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
        pausing, ///< before the next attempt, or until what is before it has ended
        under_way,
        canceling, ///< an attempt that is to end: a task has the model, or rolloutd stops
    };

    struct attempts {
        std::string backend;
        std::chrono::milliseconds not_before{0};
        unsigned failures = 0;
        std::string logged; ///< the cause that the log has
        attempt_state state = attempt_state::pausing;
        operation_ptr work; ///< the attempt under way
        bool has_permit = false;
        permit_wait *waits = nullptr;   ///< for a permit, if it does
        std::function<void()> released; ///< who waits for the end of `work`
    };

    const served_revision *find(const revision_name &which) const;
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
