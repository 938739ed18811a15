// Decides which task runs when: one at a time for each model, in the order of acceptance; different models
// concurrently. The number of models that work at a time is bounded, and so is the number of waiting tasks; a run
// that only waits, for time, traffic or a person, blocks no other.
#pragma once

#include "worker/config/settings.hpp"
#include "worker/journal/journal.hpp"
#include "worker/rollout/task_run.hpp"
#include "worker/scheduler/follow_ups.hpp"
#include "worker/scheduler/model_monitor.hpp"
#include "worker/scheduler/model_registry.hpp"
#include "worker/scheduler/permit_pool.hpp"
#include "worker/scheduler/queue_cancellation.hpp"
#include "worker/scheduler/requests.hpp"
#include "worker/scheduler/task_control.hpp"
#include "worker/scheduler/task_intake.hpp"
#include "worker/scheduler/task_queues.hpp"
#include "worker/scheduler/turn_writer.hpp"
#include "worker/scheduler/unload_retry.hpp"

#include <chrono>
#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace rollout {

/// Runs tasks, each from when its turn comes to its end, and owns the parts that do the rest: the queues, the
/// permits, clients' requests, and the background work.
class scheduler final {
  public:
    /// `journal`, `gateways` and `time` outlive the scheduler. `backend_of`, `fetch` and `run_hook` as for
    /// run_environment; a backend lives as long as the `backend_of` that returned it.
    scheduler(std::shared_ptr<const settings> config, journal &journal, gateway_control &gateways, clock &time,
              std::function<backend *(const std::string &)> backend_of,
              std::function<operation_ptr(fetch_request, done_fn)> fetch, hook_fn run_hook);

    /// Called once, from the loop, when a write was lost: another rolloutd has the tasks now. Nothing more begins; the
    /// scheduler is to be stopped. May be null.
    std::function<void()> on_lost;

    /// Loads the unfinished tasks from the journal; called once, before the loop runs.
    void recover();

    /// Accepts a new task: checks it against the configuration, writes it to the journal, and puts it in its model's
    /// queue.
    void submit(submission wanted, answer_fn answer);

    /// Uses these settings for new submissions and for tasks that start; a running task keeps those that it started
    /// with.
    void use(std::shared_ptr<const settings> config, std::function<backend *(const std::string &)> backend_of);

    /// Lists the models that have a revision on that backend.
    std::vector<std::string> models_on(const std::string &backend) const { return models_.models_on(backend); }

    /// Lists what is lost of a model's revisions that should be loaded.
    std::vector<lost_revision> losses_of(const std::string &model_id) const { return monitor_.losses_of(model_id); }

    /// Lists the model's running task, then its waiting ones in order; `most` at most.
    std::vector<std::string> tasks_of(const std::string &model_id, std::size_t most) const;

    std::size_t lost_models() const { return monitor_.lost_models(); }
    std::map<std::string, bool> backends_up() const { return monitor_.backends_up(); }

    /// Counts the models that should be loaded on each server of a backend with several servers.
    std::vector<model_monitor::server_models> models_on_servers() const { return monitor_.models_on_servers(); }

    /// Reports that a gateway complains about a server of that upstream.
    void suspect(const std::string &upstream, const std::string &peer) { monitor_.suspect(upstream, peer); }

    /// Reports that a gateway has followed the routes further, or is no longer known.
    void on_gateway_progress() { unloads_.on_gateway_progress(); }

    /// Counts the revisions that no task could unload or remove and that are still there, by backend.
    std::map<std::string, std::size_t> pending_unloads() const { return unloads_.pending(); }

    /// Applies a client's verb to a task. Answers with the task once the change is durable, with the new task if the
    /// verb creates one (retry, rollback), or with a refusal that says why it makes no sense now. Repeating the
    /// request with the same id for the new task creates one task only.
    void steer(steer_request wanted, answer_fn answer);

    /// Starts no new runs; those under way stop where they are. `stopped` is called when nothing is under way.
    void stop(std::function<void()> stopped);

    std::size_t waiting() const noexcept { return intake_.waiting(); }
    std::size_t running() const noexcept { return runs_.size(); }

    /// Counts the running tasks that hold one of the permits of limits.max_concurrent_rollouts.
    std::size_t working() const noexcept { return permits_.taken(); }

    /// Finds the series of a deployment: see series_keeper::find.
    void find_series(const std::string &task_id, series_keeper::found_fn done)
    {
        series_.find(task_id, std::move(done));
    }

    /// Returns how long the oldest of the waiting tasks has waited; 0 if there is none.
    std::chrono::microseconds longest_wait() const;

    /// Counts the models that a gateway routes to, or is about to.
    std::size_t deployed_models() const { return models_.deployed(); }

  private:
    /// A model's task that runs, from the time when it is about to be read.
    struct running_task {
        std::string task_id;
        std::shared_ptr<const settings> config; ///< the ones that were in force when the task began
        std::unique_ptr<run_environment> environment;
        std::unique_ptr<task_run> run; ///< null: the task is being read, or other work on the model has not ended yet
        operation_ptr pause;           ///< before the journal is read again
    };

    // Callbacks of the parts.

    permit_pool::surroundings around_permits();
    unload_retry::surroundings around_unloads();
    task_intake::surroundings around_intake();
    task_control::surroundings around_control();

    void update_turn(const std::string &model_id);
    wait_state turn_detail(const std::string &model_id, const std::string &before, bool was_begun) const;
    void on_accepted(const task_row &row);
    std::string running_deployment(const std::string &model_id) const;
    bool has_other_task(const std::string &model_id, const std::string &but_for) const;
    task_position position_of(const task_name &which) const;

    // A running task.

    void begin(const std::string &model_id);
    void read(const std::string &model_id, const std::string &task_id);
    void start_alone(const std::string &model_id, const task_row &row);
    void start(const std::string &model_id, const task_row &row);
    run_environment environment_of(const std::string &model_id, const settings &config);
    void on_peers_changed(const std::string &model_id, const model_monitor::peers_change &now);
    void on_ended(const std::string &model_id);
    void lose();
    void tell_if_stopped();

    std::shared_ptr<const settings> config_; ///< in force
    journal &journal_;
    gateway_control &gateways_;
    clock &time_;
    std::function<backend *(const std::string &)> backend_of_;
    std::function<operation_ptr(fetch_request, done_fn)> fetch_;
    hook_fn run_hook_;

    model_registry models_;
    model_monitor monitor_;
    unload_retry unloads_;
    task_queues queues_;
    permit_pool permits_;
    series_keeper series_;
    turn_writer turns_;
    queue_cancellation cancellation_;
    task_intake intake_;
    follow_ups follow_ups_;
    task_control control_;

    std::map<std::string, running_task> runs_; ///< by model
    operation_ptr recovery_;                   ///< of the unfinished tasks in the journal
    bool stopping_ = false;
    bool is_lost_ = false;
    operation_ptr loss_; ///< before `on_lost`
    unsigned parts_to_stop_ = 2; ///< the monitor and the unload retries
    std::function<void()> stopped_;
};

} // namespace rollout
