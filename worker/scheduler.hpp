// Which task runs when: one a model at a time, in the order of acceptance; different models side by side, up to a bound;
// what waits is bounded too.
#pragma once

#include "worker/gateway_server.hpp"
#include "worker/journal/journal.hpp"
#include "worker/model_watch.hpp"
#include "worker/rollout/task_run.hpp"
#include "worker/settings.hpp"

#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>

namespace rollout {

class scheduler {
  public:
    /// `book`, `gateways` and `time` outlive the scheduler. `backend_of`, `fetch` and `run_hook` as for run_environment; a backend
    /// lives as long as the `backend_of` that names it.
    scheduler(std::shared_ptr<const settings> config, journal &book, traffic &gateways, clock &time,
              std::function<backend *(const std::string &)> backend_of,
              std::function<operation_ptr(fetch_request, done_fn)> fetch, hook_fn run_hook);

    /// Takes up what the journal has unfinished; once, before the loop runs.
    void recover();

    /// A new task: checked against the configuration, written to the journal, put in its model's queue.
    void submit(submission wanted, gateway_server::answer_fn answer);

    /// For tasks that start, and for submissions, from now on; a task that runs keeps what it started with.
    void use(std::shared_ptr<const settings> config, std::function<backend *(const std::string &)> backend_of);

    /// The models of which a revision stands on that backend.
    std::vector<std::string> models_on(const std::string &backend) const;

    /// What is gone of a model's revisions that are to be loaded.
    std::vector<lost_revision> losses_of(const std::string &model_id) const { return watch_.losses_of(model_id); }

    /// The model's task at work, then those that wait, in their order: so many at most.
    std::vector<std::string> tasks_of(const std::string &model_id, std::size_t most) const;

    /// A client's word to a task: answered with the task once what it changes is durable, with the new task where it makes
    /// one (retry, rollback), or with a refusal that says why it makes no sense now. The same word to the same task with the
    /// same id for the new one makes it once.
    void steer(steer_request wanted, gateway_server::answer_fn answer);

    /// No new runs; those under way stop where they are. `stopped` is called when nothing is under way.
    void stop(std::function<void()> stopped);

    std::size_t waiting() const noexcept { return waiting_; }
    std::size_t running() const noexcept { return runs_.size(); }

    /// Models that a gateway routes to, or is about to.
    std::size_t deployed_models() const;

  private:
    struct waiting_task {
        std::uint64_t sequence;
        std::string task_id;
    };

    /// A model's place among those at work: taken when its task is about to be read.
    struct place {
        std::string task_id;
        std::shared_ptr<const settings> config; ///< in force when the task began
        std::unique_ptr<run_environment> environment;
        std::unique_ptr<task_run> run;
        operation_ptr pause; ///< before the journal is read again
    };

    /// A task that waits for its turn, by its model, and by its own id.
    using waiting_name = std::pair<std::string, std::string>;

    struct steer_call : steer_request {
        gateway_server::answer_fn answer;
        unsigned tries;
    };

    task new_task(task_kind kind, std::string task_id, std::string model_id, std::string parent_id,
                  std::shared_ptr<const json_t> config) const;
    std::vector<json_fault> plan_faults(const task &of) const;
    void accept(task made, gateway_server::answer_fn answer);

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
    bool take_from_queue(const std::string &model_id, const std::string &task_id);
    void put_back(const std::string &model_id, waiting_task one);

    wait_state turn_of(const std::string &model_id, const std::string &before, bool was_begun) const;
    wait_state turn_of(const waiting_name &which, bool was_begun) const;
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

    void enqueue(const std::string &model_id, waiting_task one);
    void start_next();
    void read(const std::string &model_id, const std::string &task_id);
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
    std::map<std::string, std::deque<waiting_task>> queues_; ///< by model, in the order of acceptance
    std::set<std::pair<std::uint64_t, std::string>> ready_;  ///< models at rest, by their first task's sequence
    std::map<std::string, place> runs_;
    std::size_t waiting_ = 0;
    std::size_t unwritten_ = 0; ///< new tasks on their way into the journal
    std::map<std::string, std::vector<gateway_server::answer_fn>> canceling_; ///< by task: who waits for the journal
    std::set<waiting_name> unsaid_turns_; ///< whose documents may not say what they wait for
    std::size_t turns_under_way_ = 0;     ///< being read and written
    operation_ptr turns_soon_;
    std::set<std::string> following_up_; ///< ids for new tasks, while they are looked for and written
    std::map<std::uint64_t, std::pair<steer_call, operation_ptr>> steer_pauses_; ///< words that are looked at again
    std::uint64_t last_pause_ = 0;
    operation_ptr soon_;
    bool stopping_ = false;
    bool watches_ = true;
    std::function<void()> stopped_;
};

} // namespace rollout
