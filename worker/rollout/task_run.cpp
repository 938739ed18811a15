#include "worker/rollout/task_run.hpp"

#include "worker/base/failpoint.hpp"
#include "worker/base/format.hpp"
#include "worker/rollout/admission.hpp"
#include "worker/rollout/deletion.hpp"
#include "worker/rollout/deployment.hpp"
#include "worker/rollout/task_log.hpp"
#include "worker/rollout/waiting_detail.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

namespace rollout {

namespace {

using namespace std::chrono_literals;

constexpr auto first_retry_pause = 500ms;
constexpr auto longest_retry_pause = 30000ms;

constexpr std::string_view lost_name = "resume"; // the step of a task that cannot resume


/// Ends a text with a full stop, so that another sentence can follow.
std::string sentence(std::string text)
{
    if (!text.empty() && std::string_view(".!?").find(text.back()) == std::string_view::npos) {
        text += '.';
    }
    return text;
}


/// Returns the revision that an unfinished deployment has brought, according to its model's entry; 0 if there is
/// none.
std::uint64_t revision_on_its_way(const model &of)
{
    for (const auto *placed : {&of.incoming, &of.green}) {
        if (*placed) {
            return (*placed)->revision;
        }
    }
    return of.former != 0 && of.blue ? of.blue->revision : 0;
}


std::chrono::milliseconds pause_after(unsigned attempts)
{
    return std::min<std::chrono::milliseconds>(first_retry_pause * (1u << std::min(attempts - 1, 10u)),
                                               longest_retry_pause);
}


run_steps steps_of(task_kind kind)
{
    return kind == task_kind::deploy ? deployment_steps() : deletion_steps();
}

} // namespace


task_run::task_run(run_environment &environment, rollout::task task, rollout::model &model, completion<> ended)
    : context_(environment, std::move(task), model,
               {.end_work = [this] { end_work(); },
                .can_be_undone = [this] { return can_be_undone(); },
                .given_up =
                    [this] {
                        operation_.reset(); // the operation waits for the journal
                        stopped_();
                    },
                .lost = [this] { lose(); }}),
      plan_(context_), steps_(steps_of(context_.task.kind)), ended_(std::move(ended))
{
}


task_run::~task_run()
{
    context_.limit.stop();
    operation_.reset(); // its destructor may still use the context
}


void task_run::say(log_level level, const std::string &message) const
{
    log_task(context_.task, level, message);
}


/// Saves the task and its model; calls `then` unless the run has been stopped by then.
void task_run::save(completion<> then)
{
    context_.writer.save([this, then = std::move(then)]() mutable {
        if (phase_ != run_phase::stopping) {
            then();
        }
    });
}


std::string task_run::steer(task_verb verb, task_writer::written_fn done)
{
    return context_.steering.steer(verb, std::move(done));
}


// Start and resumption.

void task_run::start()
{
    context_.limit.start();
    if (context_.task.status == task_status::pending) {
        begin();
    } else {
        resume();
    }
}


void task_run::begin()
{
    rollout::task &task = context_.task;
    rollout::model &model = context_.model;
    if (task.kind == task_kind::deploy) {
        task.model_revision = task.rollback_to != 0 ? task.rollback_to : model.last_revision + 1;
    } else if (model.blue) {
        task.model_revision = model.blue->revision;
    }
    if (const auto why = plan_.make(); !why.empty()) {
        task.model_revision = 0;
        finish(task_status::failed, why);
        return;
    }
    if (const auto why = refusal_of(context_); !why.empty()) {
        task.model_revision = 0;
        finish(task_status::refused, why);
        return;
    }
    for (const auto &warning : context_.plan.warnings) {
        say(log_level::warning, warning);
    }
    model.last_revision = std::max(model.last_revision, task.model_revision);
    task.status = task_status::in_progress;
    plan_.show();
    plan_.ask_for_traffic();
    list_steps();
    enter(0);
}


void task_run::list_steps()
{
    auto &records = context_.task.steps;
    records.clear();
    for (const auto &step : steps_.forward) {
        step_record &listed = records.emplace_back();
        listed.name = step.name;
        if (step.applies != nullptr && !step.applies(context_)) {
            listed.state = step_state::skipped;
            listed.detail =
                context_.task.rollback_to != 0 && listed.name != "smoke" ? "its files are kept" : "not configured";
        }
    }
}


void task_run::resume()
{
    rollout::task &task = context_.task;
    say(log_level::info, "The task continues where it was");
    if (task.kind == task_kind::deploy) {
        context_.environment.series.resume(task);
    }
    const std::string no_plan = plan_.make();
    if (task.step == rollback_step_name) {
        failure_ = no_plan;
        for (const auto &step : task.steps) {
            if (step.state == step_state::failed) {
                failure_ = sentence("Step " + step.name + " failed: " + step.detail);
            }
        }
        enter_rollback();
        return;
    }
    if (!can_go_on()) {
        task.step = lost_name;
        if (const auto brought = revision_on_its_way(context_.model);
            task.kind == task_kind::deploy && brought != 0) {
            task.model_revision = brought;
        }
        fail("The journal's entry of the task cannot be read, or does not match that of its model.");
        return;
    }
    current_ = index_of(task.step);
    if (!no_plan.empty()) {
        fail(no_plan);
        return;
    }
    const auto &blue = context_.model.blue;
    if (!blue || blue->revision != task.model_revision) { // else it has finished its weights
        plan_.show();
    }
    enter(current_);
}


/// The journal's entry of a task may be damaged, or come from elsewhere: its steps must be those of its kind, and the
/// revision that a deployment has brought must exist somewhere.
bool task_run::can_go_on() const
{
    const rollout::task &task = context_.task;
    const rollout::model &model = context_.model;
    const bool knows_steps = std::ranges::equal(
        steps_.forward, task.steps, {}, [](const run_step &step) { return std::string_view(step.name); },
        [](const step_record &step) { return std::string_view(step.name); });
    if (!knows_steps || task.step != steps_.forward[index_of(task.step)].name) {
        return false;
    }
    return task.kind != task_kind::deploy || is_ours(context_, model.incoming) || is_ours(context_, model.green) ||
           is_ours(context_, model.blue);
}


std::size_t task_run::index_of(std::string_view name) const
{
    const auto found = std::ranges::find(steps_.forward, name, &run_step::name);
    return found == steps_.forward.end() ? 0 : static_cast<std::size_t>(found - steps_.forward.begin());
}


step_record &task_run::record()
{
    rollout::task &task = context_.task;
    step_record *known = task.find_step(task.step);
    if (known == nullptr) {
        known = &task.steps.emplace_back();
        known->name = task.step;
    }
    return *known;
}


void task_run::begin_attempt()
{
    step_record &begun = record();
    begun.state = step_state::running;
    ++begun.attempts;
    if (begun.started_us == 0) {
        begun.started_us = context_.environment.time.wall_us();
    }
}


step_record &task_run::end_attempt(step_state as)
{
    step_record &ended = record();
    ended.state = as;
    ended.ended_us = context_.environment.time.wall_us();
    return ended;
}


// Steps.

void task_run::enter(std::size_t index)
{
    rollout::task &task = context_.task;
    const auto &steps = steps_.forward;
    for (; index < steps.size(); ++index) {
        if (steps[index].is_idle != nullptr && steps[index].is_idle(context_)) {
            pass_idle(index);
        } else if (task.steps[index].state != step_state::skipped) {
            break;
        }
    }
    if (index == steps.size()) {
        const std::string &left = context_.left_loaded;
        finish(task_status::completed,
               (task.kind == task_kind::deploy ? "Revision " + std::to_string(task.model_revision) +
                                                     " serves all traffic of model " + task.model_id + "."
                                               : "Model " + task.model_id + " is deleted.") +
                   (left.empty() ? "" : " " + left));
        return;
    }

    current_ = index;
    task.step = steps[index].name;
    task.progress = static_cast<double>(index) / static_cast<double>(steps.size());
    context_.writer.stop_waiting();
    begin_attempt();
    if (const auto only_asks = steps[index].only_asks; only_asks != nullptr && only_asks(context_)) {
        context_.writer.note();
        work();
        return;
    }
    if (const auto needs_none = steps[index].needs_no_permit; needs_none != nullptr && needs_none(context_)) {
        release_permit();
    }
    if (steps[index].enter != nullptr) {
        steps[index].enter(context_);
    }
    save([this] { work(); });
}


/// Ends a step that has nothing to do.
void task_run::pass_idle(std::size_t index)
{
    current_ = index;
    context_.task.step = steps_.forward[index].name;
    begin_attempt();
    end_attempt(step_state::done);
}


/// Releases the permit of a run that needs none any more. The model's next task, which may be more urgent than others, can
/// take it only once this one has ended.
void task_run::release_permit()
{
    if (!context_.environment.is_awaited()) {
        context_.permit.release();
    }
}


void task_run::work()
{
    const rollout::task &task = context_.task;
    failpoint({kind_name(task.kind), task.step, "written"});
    if (context_.limit.is_over() || task.cancel_asked) {
        on_worked(outcome::canceled());
        return;
    }
    operation_ = start_work([this](const outcome &result) { on_worked(result); });
}


operation_ptr task_run::start_work(done_fn done)
{
    const run_step &step = steps_.forward[current_];
    const start_fn work = [this, &step](done_fn then) { return step.work(context_, std::move(then)); };
    return step.waits ? context_.permit.wait_without(work, std::move(done))
                      : context_.permit.work_with(work, std::move(done));
}


void task_run::on_worked(const outcome &result)
{
    operation_.reset();
    context_.permit.keep();
    if (phase_ == run_phase::stopping) {
        stopped_();
        return;
    }
    const rollout::task &task = context_.task;
    failpoint({kind_name(task.kind), task.step, "worked"});
    step_record &worked = record();
    if (task.cancel_asked) {
        worked.detail = "canceled by a client";
        fail("The task was canceled by a client in step " + worked.name);
        return;
    }
    if (result) {
        end_attempt(step_state::done).detail = result.detail;
        say(log_level::info,
            "Step " + worked.name + " is done" + (result.detail.empty() ? "" : ": " + result.detail));
        if (const auto leave = steps_.forward[current_].leave; leave != nullptr) {
            leave(context_);
        }
        enter(current_ + 1);
        return;
    }
    const auto &limits = context_.environment.config.limits;
    if (context_.limit.is_over()) {
        fail("Step " + worked.name + " did not complete within the task's time limit of " +
             std::to_string(limits.time_limit_s) + " s" +
             (worked.detail.empty() ? "." : "; before that: " + worked.detail));
        return;
    }
    if (result.is == outcome::kind::transient && worked.attempts <= limits.retries) {
        try_again(result);
        return;
    }
    worked.detail = result.detail;
    fail("Step " + worked.name + " failed" +
         (worked.attempts > 1 ? " after " + format_count(worked.attempts, "attempt", "attempts") : "") + ": " +
         result.detail);
}


void task_run::try_again(const outcome &result)
{
    clock &time = context_.environment.time;
    step_record &failed = record();
    failed.detail = result.detail;
    const auto pause = pause_after(failed.attempts);
    say(log_level::warning, "Attempt " + std::to_string(failed.attempts) + " of step " + failed.name +
                                " failed and is repeated in " + format_duration(pause) + ": " + result.detail);
    const auto now_us = time.wall_us();
    const auto retry_us = now_us + std::chrono::microseconds(pause).count();
    pause_ = time.after(pause, [this] {
        pause_.reset();
        context_.writer.stop_waiting();
        step_record &again = record();
        context_.task.detail = "Attempt " + std::to_string(++again.attempts) + " of step " + again.name +
                               " is running; the one before failed: " + again.detail;
        save([this] { work(); });
    });
    context_.writer.say_waiting(wait_for_retry(failed.attempts, failed.name, retry_us, now_us, result.detail));
}


/// Ends the step's work, or the pause before its next attempt, because the time limit has passed or a client cancels.
/// A rollback takes as long as it needs.
void task_run::end_work()
{
    if (phase_ != run_phase::forward) {
        return;
    }
    if (operation_) {
        operation_->cancel();
    } else if (pause_) {
        pause_ = context_.environment.time.after(0ms, [this] {
            pause_.reset();
            on_worked(outcome::canceled());
        });
    }
}


// Rollback and end.

bool task_run::can_be_undone() const
{
    const auto undo = steps_.forward[current_].can_be_undone;
    return undo == nullptr || undo(context_);
}


void task_run::fail(const std::string &why)
{
    const rollout::task &task = context_.task;
    failure_ = sentence(why);
    step_record &failed = end_attempt(step_state::failed);
    if (failed.detail.empty()) {
        failed.detail = why;
    }
    say(log_level::error, failure_);
    if (can_be_undone()) {
        enter_rollback();
    } else if (task.kind == task_kind::deploy) {
        finish(task_status::completed,
               "Revision " + std::to_string(task.model_revision) +
                   " serves all traffic, but the old one could not be taken off the server. " + failure_ +
                   " It is tried again later, at the latest with the model's next task.");
    } else {
        finish(task_status::failed,
               "The model is unloaded, but not all of it is gone. " + failure_ +
                   " Fix the cause: the rest is tried again later, and at once if you post the deletion again.");
    }
}


void task_run::enter_rollback()
{
    leave_forward(run_phase::rolling_back);
    context_.task.step = rollback_step_name;
    context_.left_loaded.clear();
    context_.writer.say_first(failure_);
    context_.writer.stop_waiting();
    begin_attempt();
    if (steps_.rollback.enter != nullptr) {
        steps_.rollback.enter(context_);
    }
    save([this] {
        failpoint({kind_name(context_.task.kind), rollback_step_name, "written"});
        operation_ = steps_.rollback.work(context_, [this](const outcome &result) { on_rolled_back(result); });
    });
}


void task_run::on_rolled_back(const outcome &result)
{
    operation_.reset();
    if (phase_ == run_phase::stopping) {
        stopped_();
        return;
    }
    const rollout::task &task = context_.task;
    clock &time = context_.environment.time;
    failpoint({kind_name(task.kind), rollback_step_name, "worked"});
    step_record &worked = record();
    if (result.is == outcome::kind::transient && worked.attempts <= context_.environment.config.limits.retries) {
        worked.detail = result.detail;
        const auto pause = pause_after(worked.attempts);
        const auto now_us = time.wall_us();
        pause_ = time.after(pause, [this] {
            pause_.reset();
            enter_rollback();
        });
        context_.writer.say_waiting(wait_for_retry(
            worked.attempts, worked.name, now_us + std::chrono::microseconds(pause).count(), now_us, result.detail));
        return;
    }
    end_attempt(result ? step_state::done : step_state::failed).detail = result.detail;
    if (result && steps_.rollback.leave != nullptr) {
        steps_.rollback.leave(context_);
    }
    const auto &blue = context_.model.blue;
    const std::string clean = task.kind != task_kind::deploy ? " The model serves as before."
                              : blue ? " Revision " + std::to_string(blue->revision) + " serves as before."
                                     : " The model is not deployed.";
    finish(task.cancel_asked ? task_status::canceled : task_status::failed,
           failure_ + (result ? clean : " The rollback is not complete either: " + sentence(result.detail)) +
               (context_.left_loaded.empty() ? "" : " " + context_.left_loaded));
}


void task_run::finish(task_status status, const std::string &detail)
{
    rollout::task &task = context_.task;
    leave_forward(run_phase::ended);
    context_.writer.stop_waiting();
    task.status = status;
    task.detail = detail;
    if (status == task_status::completed) {
        task.progress = 1;
    }
    context_.limit.stop();
    release_permit();
    context_.environment.series.mark(task.task_id, mark_kind::end, detail);
    context_.environment.series.end(task.task_id);
    save([this] {
        const rollout::task &ended = context_.task;
        say(ended.status == task_status::failed ? log_level::error : log_level::info,
            "The task is " + std::string(status_name(ended.status)) + ": " + ended.detail);
        failpoint({kind_name(ended.kind), status_name(ended.status), "written"});
        ended_();
    });
}


void task_run::leave_forward(run_phase next)
{
    phase_ = next;
    plan_.stop();
}


void task_run::lose()
{
    is_lost_ = true;
    if (phase_ != run_phase::stopping) {
        stop(std::move(ended_));
    } else if (context_.writer.give_up()) {
        operation_.reset(); // the operation waits for the journal
        stopped_();
    }
}


void task_run::stop(completion<> stopped)
{
    leave_forward(run_phase::stopping);
    stopped_ = std::move(stopped);
    pause_.reset();
    context_.limit.stop();
    if (context_.writer.give_up()) {
        operation_.reset(); // the operation waits for the journal
    }
    if (operation_) {
        operation_->cancel();
    } else {
        stopped_();
    }
}


} // namespace rollout
