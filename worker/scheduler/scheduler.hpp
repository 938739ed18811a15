// Which task runs when: one a model at a time, in the order of acceptance; different models side by side. How many of them
// work at a time is bounded, and so is how many wait for their turn; a run that waits itself, for time, traffic or a person,
// holds up nobody.
#pragma once

#include "worker/config/settings.hpp"
#include "worker/journal/journal.hpp"
#include "worker/rollout/task_run.hpp"
#include "worker/scheduler/model_monitor.hpp"
#include "worker/scheduler/requests.hpp"
#include "worker/scheduler/unload_retry.hpp"

#include <chrono>
#include <compare>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>

namespace rollout {

class scheduler final : private work_places {
  public:
    /// `book`, `gateways` and `time` outlive the scheduler. `backend_of`, `fetch` and `run_hook` as for run_environment; a backend
    /// lives as long as the `backend_of` that names it.
    scheduler(std::shared_ptr<const settings> config, journal &book, traffic &gateways, clock &time,
              std::function<backend *(const std::string &)> backend_of,
              std::function<operation_ptr(fetch_request, done_fn)> fetch, hook_fn run_hook);

    /// Takes up what the journal has unfinished; once, before the loop runs.
    void recover();

    /// A new task: checked against the configuration, written to the journal, put in its model's queue.
    void submit(submission wanted, answer_fn answer);

    /// For tasks that start, and for submissions, from now on; a task that runs keeps what it started with.
    void use(std::shared_ptr<const settings> config, std::function<backend *(const std::string &)> backend_of);

    /// The models of which a revision stands on that backend.
    std::vector<std::string> models_on(const std::string &backend) const;

    /// What is gone of a model's revisions that are to be loaded.
    std::vector<lost_revision> losses_of(const std::string &model_id) const { return watch_.losses_of(model_id); }

    /// The model's task at work, then those that wait, in their order: so many at most.
    std::vector<std::string> tasks_of(const std::string &model_id, std::size_t most) const;

    std::size_t lost_models() const { return watch_.lost_models(); }
    std::map<std::string, bool> backends_up() const { return watch_.backends_up(); }

    /// How many revisions no task could unload or remove, and are there yet, by backend.
    std::map<std::string, std::size_t> pending_unloads() const { return unloads_.pending(); }

    /// A client's word to a task: answered with the task once what it changes is durable, with the new task where it makes
    /// one (retry, rollback), or with a refusal that says why it makes no sense now. The same word to the same task with the
    /// same id for the new one makes it once.
    void steer(steer_request wanted, answer_fn answer);

    /// No new runs; those under way stop where they are. `stopped` is called when nothing is under way.
    void stop(std::function<void()> stopped);

    std::size_t waiting() const noexcept { return waiting_; }
    std::size_t running() const noexcept { return runs_.size(); }

    /// Of those that run: who hold one of the places of limits.max_concurrent_rollouts.
    std::size_t working() const noexcept { return places_taken_; }

    /// How long the oldest of the waiting tasks waits; 0 if none does.
    std::chrono::microseconds longest_wait() const;

    /// Models that a gateway routes to, or is about to.
    std::size_t deployed_models() const;

  private:
    /// Who gets the next place; the first ones first.
    enum class urgency : std::uint8_t {
        begun,     ///< before a restart: goes on at once, and takes a place if there is one
        rollback,  ///< back to an earlier revision
        under_way, ///< a run that has waited and is to work again
        deletion,
        deployment,
    };

    struct waiting_task {
        std::uint64_t sequence;
        std::string task_id;
        std::int64_t created_us;
        urgency is;
        bool supersedes = false; ///< the deployments of its model before it that have not begun

        waiting_task numbered(std::uint64_t by_the_journal) const
        {
            waiting_task same = *this;
            same.sequence = by_the_journal;
            return same;
        }
    };

    /// A model in the line for a place: with its first task, or with its run that waits for one.
    struct turn {
        urgency is;
        std::uint64_t sequence;
        std::string model_id;

        auto operator<=>(const turn &) const = default;
    };

    class place_wait;

    /// A model's task that is carried out, from when it is about to be read.
    struct running_task {
        waiting_task task;
        bool has_place = false;
        place_wait *waits = nullptr;            ///< for a place, if it does
        std::shared_ptr<const settings> config; ///< in force when the task began
        std::unique_ptr<run_environment> environment;
        std::unique_ptr<task_run> run;
        operation_ptr pause; ///< before the journal is read again
    };

    /// A task that waits for its turn, by its model, and by its own id.
    using waiting_name = std::pair<std::string, std::string>;

    struct steer_call : steer_request {
        answer_fn answer;
        unsigned tries;
    };

    task new_task(task_kind kind, std::string task_id, std::string model_id, std::string parent_id,
                  std::shared_ptr<const json_t> config) const;
    std::vector<json_fault> plan_faults(const task &of) const;
    void accept(task made, answer_fn answer);

    void steer(steer_call call);
    void steer_open(const steer_call &call, const task &found);
    void steer_final(const steer_call &call, const task &found);
    void steer_again(const steer_call &call);
    void refuse_words_that_wait();
    void steer_run(const steer_call &call, task_run &run);
    void follow_up(steer_call call, const task &found);
    void make_follow_up(const steer_call &call, const task &found);
    void cancel_waiting(const steer_call &call, task found);
    void retry(const steer_call &call, const task &found);
    void roll_back(const steer_call &call, const task &found);
    task follow_up_of(const steer_call &call, const task &found) const;
    waiting_task take_from_queue(const std::string &model_id, const std::string &task_id);
    void put_back(const std::string &model_id, waiting_task one);

    wait_state waiting_words_of(const std::string &model_id, const std::string &before, bool was_begun) const;
    wait_state waiting_words_of(const waiting_name &which, bool was_begun) const;
    void check_turn(const task_row &row, const std::string &before);
    void check_turns(const std::vector<task_row> &of);
    void check_last_turn(const task_row &row);
    void say_turn_of_first(const std::string &model_id);
    void say_turn(const waiting_name &which);
    void write_turns();
    void write_turn(const waiting_name &which, const task_row &row);
    void write_turns_after(std::chrono::milliseconds pause);
    void on_turn_written(const waiting_name &which, const outcome &how);
    const waiting_task *find_waiting(const waiting_name &which) const;

    bool has_place(const std::string &model_id) const override;
    operation_ptr take_place(const std::string &model_id, done_fn done) override;
    void give_place_back(const std::string &model_id) override;

    void enqueue(const std::string &model_id, waiting_task one);
    turn turn_of(const std::string &model_id) const;
    static urgency urgency_of(task_kind kind, task_status status, std::uint64_t rollback_to) noexcept;
    waiting_task waiting(const task_row &row) const;
    waiting_task waiting(const task &of) const;
    bool supersedes(const task &made) const;
    void cancel_superseded(const std::string &model_id);
    void cancel_superseded(const std::string &model_id, const waiting_task &older, const std::string &newer);
    void answer_canceling(const std::string &task_id, const request_answer &how);
    bool is_full() const noexcept;
    unload_retry::surroundings around_unloads();
    void grant_place(running_task &run);
    void start_next();
    void start_soon();
    void begin_next_of(const std::string &model_id, bool with_place);
    void read(const std::string &model_id, const std::string &task_id);
    void start_alone(const std::string &model_id, const task_row &row);
    void start(const std::string &model_id, const task_row &row);
    void on_ended(const std::string &model_id);
    void release(const std::string &model_id);
    void put_aside(const std::string &model_id);
    model &take_up(const std::string &model_id);
    std::size_t known_models() const;
    void tell_if_stopped();
    std::string in_use_by(const submission &wanted) const;
    std::string holder_of(const std::string &model_id, const std::string &backend, const std::string &name) const;

    std::shared_ptr<const settings> config_; ///< in force
    journal &book_;
    traffic &gateways_;
    clock &time_;
    std::function<backend *(const std::string &)> backend_of_;
    std::function<operation_ptr(fetch_request, done_fn)> fetch_;
    hook_fn run_hook_;

    std::map<std::string, model> models_;                           ///< that stand somewhere, or have a task at work
    std::unordered_map<std::string, std::uint64_t> last_revisions_; ///< of all others: a number is given once
    model_watch watch_;
    unload_retry unloads_;
    std::map<std::string, std::deque<waiting_task>> queues_; ///< by model, in the order of acceptance
    std::map<std::uint64_t, std::int64_t> waiting_since_;    ///< when each of those was accepted, by its sequence
    std::set<turn> turns_; ///< models that have tasks and run none, and runs that wait for a place
    std::map<std::string, running_task> runs_;
    std::size_t places_taken_ = 0;
    std::size_t waiting_ = 0;
    std::size_t unwritten_ = 0;                               ///< new tasks on their way into the journal
    std::map<std::string, std::vector<answer_fn>> canceling_; ///< by task: who waits for the journal
    std::set<waiting_name> unsaid_turns_;                     ///< whose documents may not say what they wait for
    std::size_t turns_under_way_ = 0;                         ///< being read and written
    operation_ptr turns_soon_;
    std::set<std::string> following_up_; ///< ids for new tasks, while they are looked for and written
    std::map<std::uint64_t, std::pair<steer_call, operation_ptr>> steer_pauses_; ///< words that are looked at again
    std::uint64_t last_pause_ = 0;
    operation_ptr recovery_; ///< of what the journal had unfinished
    operation_ptr soon_;
    bool stopping_ = false;
    bool watches_ = true;
    bool retries_unloads_ = true;
    std::function<void()> stopped_;
};

} // namespace rollout
