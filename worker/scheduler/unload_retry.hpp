// Takes off their servers the revisions that no task could: those that are left among a model's `retired` when its task is
// over are tried again, with growing pauses, until they are gone. Nothing of the pauses is in the journal: after a restart they
// begin anew.
#pragma once

#include "worker/async/clock.hpp"
#include "worker/backend/backend.hpp"
#include "worker/config/settings.hpp"
#include "worker/domain/model.hpp"
#include "worker/journal/journal.hpp"
#include "worker/rollout/traffic.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <utility>

namespace rollout {

/// One revision at a time of each backend, and of each model. A model whose task is at work is the task's alone: it is not
/// tried, and what is under way of it is canceled by `release`. An unload or a removal takes one of the places of
/// limits.max_concurrent_rollouts, and only one that no task waits for.
class unload_retry {
  public:
    using backend_fn = std::function<backend *(const std::string &name)>;

    /// What the owner of the models says and is told.
    struct surroundings {
        std::function<bool(const std::string &model_id)> is_at_work; ///< a task of the model
        std::function<bool()> has_room;                              ///< for `places() + 1`
        std::function<void()> place_given_back;

        /// Completes once the watch over lost models has released the revision. Null if it does not hold it.
        std::function<operation_ptr(const std::string &model_id, std::uint64_t revision, done_fn)> let_go;

        std::function<void(const std::string &model_id)> taken_off; ///< a revision; the model may stand nowhere now
    };

    /// `models` are the scheduler's, by their ids; what is taken off is noted there once the journal has it. All of these outlive
    /// the retry.
    unload_retry(std::map<std::string, model> &models, journal &book, traffic &gateways, clock &time,
                 surroundings around);

    /// Tries by these settings and with these backends from now on; what has failed is tried again soon. A backend lives as
    /// long as the `backend_of` that names it.
    void use(std::shared_ptr<const settings> config, backend_fn backend_of);

    /// Starts nothing more, and cancels what is under way; `stopped` is called when nothing is.
    void stop(std::function<void()> stopped);

    /// Looks at what the model's task has left. Called when a task is over.
    void look(const std::string &model_id);

    /// Starts what waits for a place, if there is one.
    void use_room();

    /// Cancels what is under way of the model. True: `then` is called once, from the loop, when it has ended; false: nothing is.
    bool release(const std::string &model_id, std::function<void()> then);

    /// How many of the places are taken.
    std::size_t places() const noexcept { return places_; }

    /// How many revisions no task could take off each backend, and are there yet; 0 for the configuration's others. What a task
    /// that is at work is about to take off is not among them.
    std::map<std::string, std::size_t> pending() const;

  private:
    class place_wait;
    class model_write;

    /// A model, and its revision.
    using name = std::pair<std::string, std::uint64_t>;

    struct attempts {
        std::string backend;
        std::chrono::milliseconds not_before{0};
        unsigned failures = 0;
        std::string logged; ///< the cause that the log has
        operation_ptr work; ///< the attempt under way
        bool has_place = false;
        place_wait *waits = nullptr; ///< for a place, if it does
        bool canceled = false;
        std::function<void()> released; ///< who waits for the end of `work`
    };

    const placed_revision *find(const name &which) const;
    void look_at(const model &of);
    std::chrono::milliseconds pause_after(const std::string &backend, unsigned failures);
    bool may_start(const name &which, const attempts &one) const;
    void start_due();
    void start(const name &which, attempts &one);
    operation_ptr check_gateways(const name &which, done_fn done);
    operation_ptr take_off(const name &which, const placed_revision &of, backend *server, done_fn done);
    void ended(const name &which, const outcome &how);
    void log_failure(const name &which, attempts &one, const std::string &why) const;
    static void cancel(attempts &one);

    std::map<std::string, model> &models_;
    journal &book_;
    traffic &gateways_;
    clock &time_;
    const surroundings around_;
    std::shared_ptr<const settings> config_;
    backend_fn backend_of_;
    std::map<name, attempts> attempts_;
    std::size_t places_ = 0;
    operation_ptr pause_; ///< before the next attempt
    std::minstd_rand random_{std::random_device()()};
    std::function<void()> stopped_;
    bool stopping_ = false;
};

} // namespace rollout
