// Which task runs when: one a model at a time, in the order of acceptance; different models side by side. How many of them
// work at a time is bounded, and so is how many wait for their turn; a run that waits itself, for time, traffic or a person,
// holds up nobody.
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

/// Carries tasks out, each from when its turn comes to its end, and has the parts that the rest is made of: the queues, the line
/// for the permits, clients' requests, and what goes on behind the tasks.
class scheduler final {
  public:
    /// `book`, `gateways` and `time` outlive the scheduler. `backend_of`, `fetch` and `run_hook` as for run_environment; a backend
    /// lives as long as the `backend_of` that names it.
    scheduler(std::shared_ptr<const settings> config, journal &journal, gateway_control &gateways, clock &time,
              std::function<backend *(const std::string &)> backend_of,
              std::function<operation_ptr(fetch_request, done_fn)> fetch, hook_fn run_hook);

    /// Takes up what the journal has unfinished; once, before the loop runs.
    void recover();

    /// Takes a new task: checks it against the configuration, writes it to the journal, and puts it in its model's queue.
    void submit(submission wanted, answer_fn answer);

    /// Follows these settings for tasks that start, and for submissions; a task that runs keeps what it started with.
    void use(std::shared_ptr<const settings> config, std::function<backend *(const std::string &)> backend_of);

    /// Lists the models of which a revision stands on that backend.
    std::vector<std::string> models_on(const std::string &backend) const { return models_.models_on(backend); }

    /// Lists what is gone of a model's revisions that are to be loaded.
    std::vector<lost_revision> losses_of(const std::string &model_id) const { return monitor_.losses_of(model_id); }

    /// Lists the model's task at work, then those that wait, in their order: so many at most.
    std::vector<std::string> tasks_of(const std::string &model_id, std::size_t most) const;

    std::size_t lost_models() const { return monitor_.lost_models(); }
    std::map<std::string, bool> backends_up() const { return monitor_.backends_up(); }

    /// Counts the models that are to be loaded on each server of a backend of several.
    std::vector<model_monitor::server_models> models_on_servers() const { return monitor_.models_on_servers(); }

    /// A gateway complains of a server of that upstream.
    void suspect(const std::string &upstream, const std::string &peer) { monitor_.suspect(upstream, peer); }

    /// Counts the revisions that no task could unload or remove, and that are there yet, by backend.
    std::map<std::string, std::size_t> pending_unloads() const { return unloads_.pending(); }

    /// Gives a client's verb to a task. Answered with the task once what it changes is durable, with the new task if it makes one
    /// (retry, rollback), or with a refusal that says why it makes no sense now. Repeating the request with the same id for the
    /// new task creates one task only.
    void steer(steer_request wanted, answer_fn answer);

    /// Starts no new runs; those under way stop where they are. `stopped` is called when nothing is under way.
    void stop(std::function<void()> stopped);

    std::size_t waiting() const noexcept { return intake_.waiting(); }
    std::size_t running() const noexcept { return runs_.size(); }

    /// Counts, of those that run, who hold one of the permits of limits.max_concurrent_rollouts.
    std::size_t working() const noexcept { return permits_.taken(); }

    /// Tells how long the oldest of the waiting tasks waits; 0 if none does.
    std::chrono::microseconds longest_wait() const;

    /// Counts the models that a gateway routes to, or is about to.
    std::size_t deployed_models() const { return models_.deployed(); }

  private:
    /// A model's task that is carried out, from when it is about to be read.
    struct running_task {
        std::string task_id;
        std::shared_ptr<const settings> config; ///< in force when the task began
        std::unique_ptr<run_environment> environment;
        std::unique_ptr<task_run> run; ///< null: the task is being read, or the model is not the task's alone yet
        operation_ptr pause;           ///< before the journal is read again
    };

    // What the parts ask, and what they tell.

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

    // A task that is carried out.

    void begin(const std::string &model_id);
    void read(const std::string &model_id, const std::string &task_id);
    void start_alone(const std::string &model_id, const task_row &row);
    void start(const std::string &model_id, const task_row &row);
    run_environment environment_of(const std::string &model_id, const settings &config);
    void on_peers_changed(const std::string &model_id, const model_monitor::peers_change &now);
    void on_ended(const std::string &model_id);
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
    turn_writer turns_;
    queue_cancellation cancellation_;
    task_intake intake_;
    follow_ups follow_ups_;
    task_control control_;

    std::map<std::string, running_task> runs_; ///< by model
    operation_ptr recovery_;                   ///< of what the journal had unfinished
    bool stopping_ = false;
    unsigned parts_to_stop_ = 2; ///< the monitor and the retries of unloads
    std::function<void()> stopped_;
};

} // namespace rollout
