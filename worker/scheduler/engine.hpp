// The engine of a rolloutd: carries out the tasks while it runs, and can be started and stopped any number of times while
// posts, reads and links go on. When it does not run, its questions have answers all the same.
#pragma once

#include "worker/scheduler/engine_journal.hpp"
#include "worker/scheduler/scheduler.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace rollout {

enum class engine_state : std::uint8_t {
    absent,
    starting, ///< reads the models and the unfinished tasks
    running,
    stopping, ///< what is under way ends at its next stopping point
};

class engine {
  public:
    using backend_fn = std::function<backend *(const std::string &)>;

    /// What every run of the engine works with, as for the scheduler. All of it outlives the engine.
    struct surroundings {
        task_intake &intake;
        rollout::journal &journal;
        gateway_control &gateways;
        clock &time;
        std::function<operation_ptr(fetch_request, done_fn)> fetch;
        hook_fn run_hook;
    };

    engine(surroundings around, std::shared_ptr<const settings> config, backend_fn backend_of);

    /// Called, from the loop, when a write was lost, so that another rolloutd has the tasks: the engine is to be stopped.
    /// May be null.
    std::function<void()> on_lost;

    /// Starts when it is absent, now or at the end of a stop that is under way; not to be called while it starts or runs.
    /// `started` is called when the engine runs, or, with the reason, when it could not read what it needs and is absent
    /// again; with `canceled` if it is stopped before.
    void start(done_fn started);

    /// Stops. `stopped` is called when it is absent, which may be now.
    void stop(std::function<void()> stopped);

    engine_state state() const noexcept { return state_; }

    /// As scheduler::use.
    void use(std::shared_ptr<const settings> config, backend_fn backend_of);

    /// To be called with the news of each commit.
    void on_commit(const journal_news &news);

    /// As scheduler::steer. Refused while the engine does not run.
    void steer(steer_request wanted, answer_fn answer);

    // As in `scheduler`; nothing while the engine does not run.
    void find_series(const std::string &task_id, series_keeper::found_fn done);
    std::vector<std::string> tasks_of(const std::string &model_id, std::size_t most) const;
    std::vector<lost_revision> losses_of(const std::string &model_id) const;
    std::vector<std::string> models_on(const std::string &backend) const;
    void suspect(const std::string &upstream, const std::string &peer);
    void on_gateway_progress();

    /// What its metrics say.
    struct figures {
        std::size_t running = 0;
        std::size_t working = 0;
        std::chrono::microseconds longest_wait{0};
        std::size_t deployed_models = 0;
        std::size_t lost_models = 0;
        std::map<std::string, bool> backends_up;
        std::map<std::string, std::size_t> pending_unloads;
        std::vector<model_monitor::server_models> servers;
    };
    figures now() const;

  private:
    bool runs() const noexcept { return state_ == engine_state::running; }
    void begin();
    void on_recovered(const outcome &result);
    void begin_stop();
    void end();

    const surroundings around_;
    std::shared_ptr<const settings> config_;
    backend_fn backend_of_;
    engine_state state_ = engine_state::absent;

    // Of a run.
    std::unique_ptr<engine_journal> journal_;
    std::unique_ptr<scheduler> scheduler_;
    outcome failure_; ///< of the recovery

    completion<outcome> started_;    ///< of the start under way
    completion<outcome> next_start_; ///< of the one after the stop under way
    std::vector<std::function<void()>> stopped_;
    operation_ptr soon_; ///< what must not happen inside of a callback of the scheduler
};

} // namespace rollout
