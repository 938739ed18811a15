// One task, from its start (or from where a crash left it) to its final state: runs its steps in their order, writes each
// to the journal before it runs and again when it ends, tries again what may pass by itself, and takes the way back where
// a step fails. The steps themselves are in deployment.cpp and deletion.cpp, the rules that refuse a task in admission.cpp.
#pragma once

#include "common/domain/steering.hpp"
#include "worker/artifact/fetch_request.hpp"
#include "worker/async/clock.hpp"
#include "worker/backend/backend.hpp"
#include "worker/base/log.hpp"
#include "worker/config/settings.hpp"
#include "worker/journal/journal.hpp"
#include "worker/rollout/plan.hpp"
#include "worker/rollout/traffic.hpp"
#include "worker/rollout/work_places.hpp"

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>

namespace rollout {

/// Calls or runs one hook: `body` is the JSON that it is given. Permanent where it refuses.
using hook_fn =
    std::function<operation_ptr(const std::string &name, const hook_settings &hook, std::string body, done_fn done)>;

/// What a run works with; all of it outlives the run, and `config` and the backends stay the same for all of it,
/// whatever rolloutd.json says meanwhile.
struct run_environment {
    const settings &config;
    journal &book;
    traffic &gateways;
    clock &time;
    std::function<backend *(const std::string &name)>
        backend_of; ///< null where the configuration has no such backend
    std::function<operation_ptr(fetch_request, done_fn)> fetch;
    std::function<std::size_t()> deployed_models; ///< how many models are deployed or about to be
    std::function<std::size_t()> known_models;    ///< how many have had a revision

    /// The other model that stands on a backend under that name, or is about to; empty when none does.
    std::function<std::string(const std::string &model_id, const std::string &backend, const std::string &name)>
        holder_of;

    hook_fn run_hook;

    /// Before the run loads or unloads a revision: until the watch over lost models has its hands off it. Null where they
    /// are off already.
    std::function<operation_ptr(const std::string &model_id, std::uint64_t revision, done_fn)> let_go;

    /// The run waits for something else than before, or for nothing any more. Null: nobody wants to know.
    std::function<void()> waits_changed;

    work_places &places;
};

class task_run;

/// A step of a task. All three functions are given the run; `enter` and `leave` may be null.
struct run_step {
    const char *name;

    /// What is true of the model from now on; written to the journal together with the step's beginning. May run again
    /// after a crash, so it must find its work done and let it be.
    void (*enter)(task_run &run);

    /// The work. `transient` failures are tried again.
    operation_ptr (*work)(task_run &run, done_fn done);

    /// What is true once the work went well; written together with the step's end.
    void (*leave)(task_run &run);

    /// Whether the step has anything to do for this task; null: always.
    bool (*applies)(const task_run &run);

    /// Whether it waits, for time, traffic, a person or gateways: if that lasts, the run gives its place back.
    bool waits = false;
};

class task_run {
  public:
    /// `of` is the model's entry, which this run alone changes until `ended` is called, once and from the loop. `ended`
    /// may destroy the run.
    task_run(run_environment &environment, task what, model &of, std::function<void()> ended);
    ~task_run();
    task_run(const task_run &) = delete;
    task_run &operator=(const task_run &) = delete;

    void start();

    /// Ends the work under way at its next stopping point; the journal says where it was, the next start goes on there.
    /// `stopped` is called once nothing is under way any more.
    void stop(std::function<void()> stopped);

    /// A client's word: cancel, promote, pause or resume. Empty where it makes sense, else a sentence that says why not. It is
    /// followed once it is durable; `done` is told so, with the task as it was written, or why it is not, and then nothing
    /// follows. One at a time: not while the run `is_being_steered`.
    using steered_fn = std::function<void(const outcome &how, const task_row &row)>;
    std::string steer(steering verb, steered_fn done);
    bool is_being_steered() const noexcept { return being_steered_; }

    // For the steps: what they work with, and what they change between two writes of the journal.

    run_environment &environment;
    task what;
    model &of;
    deployment_plan plan;

    /// Writes the task and its model as they are; `then` runs once that is durable, and the gateways have been told of a
    /// route that changed. A journal that fails is asked again until it works.
    void save(std::function<void()> then);

    /// Writes the task as it is; nothing waits for it.
    void note_change();

    /// How far the running step is, 0 to 1 and in words, for people: written soon, and nothing waits for it.
    void note_progress(double share_of_step, const std::string &words);

    /// Says what the task waits for, in `waits_for`, `hold_ends_at` and `detail`: written when it is another thing than before, and
    /// nothing waits for that.
    void say_waiting(const wait_state &what_for);

    /// It works again. Goes with the next write, or with `note_if_unsaid`.
    void stop_waiting();

    /// Before work that takes its time and is not waited for in words of its own: the document does not go on saying what is over.
    void note_if_unsaid();

    /// While a person is waited for, the task's time limit does not run.
    void wait_for_a_person(bool waits);

    /// Ok once the run has a place among those that work; the time limit does not run meanwhile.
    operation_ptr take_place(done_fn done);

    std::optional<std::string>
        shifted; ///< all weights are held, and what the gate saw; the promotion is still to be agreed
    std::function<void()> on_steered; ///< set by a hold while it is under way

    /// "Revision 7 has 30 % of the traffic of model 123".
    std::string share_words() const;

    void say(log_level level, const std::string &message, std::string_view step = {}) const;

  private:
    /// What clients have asked of the task, of `what`.
    struct client_words {
        bool paused;
        bool cancel_asked;
        bool promote_asked;
    };

    void begin();
    void resume();
    bool plan_it();
    void list_steps();
    std::string running_words() const;
    std::string working_words() const;
    void note_told();
    void report_plan();
    void ask_for_traffic();
    void enter(std::size_t index);
    void work();
    operation_ptr start_work(done_fn done);
    void on_worked(const outcome &how);
    void try_again(const outcome &how);
    void fail(const std::string &why);
    void enter_rollback();
    void on_rolled_back(const outcome &how);
    void finish(task_status status, const std::string &detail);
    void note_time();
    void publish(std::uint64_t revision);
    void start_deadline();
    void let_time_stand(bool stands);
    void interrupt();
    std::string objection_to(steering verb) const;
    void take_word(steering verb);
    void follow_word(steering verb);
    void take_back(steering verb, const client_words &before);
    step_record &record();
    std::size_t index_of(std::string_view name) const;
    bool can_go_on() const;
    bool past_the_point_of_no_return() const;

    std::span<const run_step> steps_;
    const run_step *rollback_ = nullptr;
    std::size_t current_ = 0;
    bool rolling_back_ = false;
    bool timed_out_ = false;
    std::string failure_;
    bool waits_for_a_person_ = false;
    bool time_stands_ = false;             ///< the time limit does not run
    bool saving_ = false;                  ///< the task and its model are on their way to the journal
    bool is_unsaid_ = false;               ///< what the document says last is over, or could not be written
    wait_reason told_ = wait_reason::none; ///< to `waits_changed`
    operation_ptr note_pause_;             ///< before what could not be written is written again
    bool being_steered_ = false;           ///< a word is on its way to the journal
    std::vector<route> published_;
    std::chrono::milliseconds started_{};
    std::uint64_t elapsed_before_ms_ = 0;
    std::optional<std::uint64_t> last_minute_; ///< requests of the model in the minute before the task began
    operation_ptr traffic_question_;
    operation_ptr operation_;
    operation_ptr pause_;       ///< before another attempt
    operation_ptr giving_back_; ///< the place, if the wait lasts
    operation_ptr journal_pause_;
    operation_ptr deadline_;
    std::function<void()> ended_;
    std::function<void()> stopped_;
    bool stopping_ = false;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

// The tables of steps.

std::span<const run_step> deployment_steps();
const run_step &deployment_rollback();
std::span<const run_step> deletion_steps();
const run_step &deletion_rollback();

} // namespace rollout
