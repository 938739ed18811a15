#include "worker/rollout/task_run.hpp"

#include "worker/async/combine.hpp"
#include "worker/base/failpoint.hpp"
#include "worker/base/log.hpp"
#include "worker/base/words.hpp"
#include "worker/config/model_settings.hpp"
#include "worker/rollout/admission.hpp"
#include "worker/rollout/plan_report.hpp"
#include "worker/rollout/waiting_words.hpp"

#include <algorithm>
#include <set>

namespace rollout {

namespace {

using namespace std::chrono_literals;

constexpr auto first_retry_pause = 500ms;
constexpr auto longest_retry_pause = 30000ms;

/// A wait that is over sooner keeps the run's place: a rollout without holds goes through in one piece.
constexpr auto place_kept_for = 1000ms;

constexpr std::string_view rollback_name = "rollback";
constexpr std::string_view lost_name = "resume"; // of a task that cannot


/// Ends a text with a full stop, so that another sentence can follow.
std::string sentence(std::string text)
{
    if (!text.empty() && std::string_view(".!?").find(text.back()) == std::string_view::npos) {
        text += '.';
    }
    return text;
}


/// Where the task's work will be: what a deployment brings, or brings back, or all that stands of a model that is deleted.
std::set<std::string> backends_at_work(const task_run &run)
{
    std::set<std::string> names;
    const bool deploys = run.what.kind == task_kind::deploy;
    if (deploys && run.what.rollback_to == 0) {
        names.insert(run.plan.backend);
    }
    const auto add = [&](const placed_revision &one) {
        if (!deploys || one.revision == run.what.rollback_to) {
            names.insert(one.backend);
        }
    };
    for (const auto *place : {&run.of.blue, &run.of.green, &run.of.incoming}) {
        if (*place) {
            add(**place);
        }
    }
    std::ranges::for_each(run.of.kept, add);
    std::ranges::for_each(run.of.retired, add);
    return names;
}


/// What a deployment that has not ended has brought, by its model's entry; 0: nothing.
std::uint64_t revision_on_its_way(const model &of)
{
    for (const auto *place : {&of.incoming, &of.green}) {
        if (*place) {
            return (*place)->revision;
        }
    }
    return of.former != 0 && of.blue ? of.blue->revision : 0;
}


std::chrono::milliseconds pause_after(unsigned attempts)
{
    return std::min<std::chrono::milliseconds>(first_retry_pause * (1u << std::min(attempts - 1, 10u)),
                                               longest_retry_pause);
}

} // namespace


task_run::task_run(run_environment &with, task to_run, model &its_model, std::function<void()> ended)
    : environment(with), what(std::move(to_run)), of(its_model), published_(routes_of(its_model)),
      started_(with.time.now()), elapsed_before_ms_(what.elapsed_ms), ended_(std::move(ended))
{
    const bool deploys = what.kind == task_kind::deploy;
    steps_ = deploys ? deployment_steps() : deletion_steps();
    rollback_ = deploys ? &deployment_rollback() : &deletion_rollback();
}


task_run::~task_run()
{
    *alive_ = false;
    stopping_ = true;
    operation_.reset(); // which may still turn to this run as it goes
}


void task_run::say(log_level level, const std::string &message, std::string_view step) const
{
    log(level, message,
        {{"task_id", what.task_id},
         {"model_id", what.model_id},
         {"kind", kind_name(what.kind)},
         {"step", step.empty() ? std::string_view(what.step) : step}});
}


std::string task_run::share_words() const
{
    return "Revision " + std::to_string(what.model_revision) + " has " + std::to_string(what.traffic_weight) +
           " % of the traffic of model " + what.model_id;
}


// The beginning.

void task_run::start()
{
    start_deadline();
    if (what.status == task_status::pending) {
        begin();
    } else {
        resume();
    }
}


void task_run::start_deadline()
{
    const auto limit = std::chrono::milliseconds(environment.config.limits.time_limit_s * 1000);
    const auto left = limit - std::min(limit, std::chrono::milliseconds(elapsed_before_ms_));
    deadline_ = environment.time.after(left, [this] {
        timed_out_ = true;
        if (!rolling_back_) { // the way back takes the time that it takes
            interrupt();
        }
    });
}


/// Ends the step's work, or the pause before its next attempt.
void task_run::interrupt()
{
    if (operation_) {
        operation_->cancel();
    } else if (pause_) {
        pause_ = environment.time.after(0ms, [this] {
            pause_.reset();
            on_worked(outcome::canceled());
        });
    }
}


/// The deployment's plan, from the task and from the configuration as it is today.
bool task_run::plan_it()
{
    if (what.kind != task_kind::deploy) {
        plan.rollout = rollout_of(environment.config, what.model_id);
        return true;
    }
    std::vector<json_fault> faults;
    plan = plan_deployment(environment.config, what.model_id, what.model_revision, what.config.get(), faults,
                           plan_for::accepted);
    if (faults.empty()) {
        return true;
    }
    failure_ = "rolloutd's configuration does not fit this task any more: " + faults.front().pointer + " " +
               faults.front().detail + ".";
    return false;
}


void task_run::begin()
{
    if (what.kind == task_kind::deploy) {
        what.model_revision = what.rollback_to != 0 ? what.rollback_to : of.last_revision + 1;
    } else if (of.blue) {
        what.model_revision = of.blue->revision;
    }
    if (!plan_it()) {
        what.model_revision = 0;
        finish(task_status::failed, failure_);
        return;
    }
    if (const auto why = refusal_of(*this); !why.empty()) {
        what.model_revision = 0;
        finish(task_status::refused, why);
        return;
    }
    for (const auto &warning : plan.warnings) {
        say(log_level::warning, warning);
    }
    of.last_revision = std::max(of.last_revision, what.model_revision);
    what.status = task_status::in_progress;
    report_plan();
    ask_for_traffic();
    list_steps();
    enter(0);
}


/// What it will do, for people; made again after a restart, which may have changed the configuration.
void task_run::report_plan()
{
    plan_view view = {what.kind, plan, of.blue.has_value() && what.rollback_to == 0, {}, last_minute_};
    for (const auto &name : backends_at_work(*this)) {
        const auto known = environment.config.backends.find(name);
        if (known != environment.config.backends.end()) {
            view.servers.push_back(&known->second);
        }
    }
    what.plan = share(plan_report(view));
}


/// How much traffic there is, for what the plan says of its holds. Nothing waits for the answer.
void task_run::ask_for_traffic()
{
    if (!plan.rollout.gate || !of.blue || what.rollback_to != 0 || what.kind != task_kind::deploy) {
        return;
    }
    traffic_question_ = environment.gateways.measure(
        of.model_id, of.blue->parts(), {of.blue->revision}, [this](const traffic::measured &answer) {
            for (const auto &[gateway, said] : answer) {
                if (said.last_minute) {
                    last_minute_ = last_minute_.value_or(0) + *said.last_minute;
                }
            }
            if (last_minute_ && what.status == task_status::in_progress && !rolling_back_ && !stopping_) {
                report_plan();
                note_change();
            }
        });
}


void task_run::list_steps()
{
    what.steps.clear();
    for (const auto &step : steps_) {
        step_record one;
        one.name = step.name;
        if (step.applies != nullptr && !step.applies(*this)) {
            one.state = step_state::skipped;
            one.detail = what.rollback_to != 0 && one.name != "smoke" ? "its files are kept" : "not configured";
        }
        what.steps.push_back(std::move(one));
    }
}


void task_run::resume()
{
    say(log_level::info, "The task goes on where it was");
    const bool planned = plan_it();
    if (what.step == rollback_name) {
        for (const auto &step : what.steps) {
            if (step.state == step_state::failed) {
                failure_ = sentence("Step " + step.name + " failed: " + step.detail);
            }
        }
        enter_rollback();
        return;
    }
    if (!can_go_on()) {
        what.step = lost_name;
        if (const auto brought = revision_on_its_way(of); what.kind == task_kind::deploy && brought != 0) {
            what.model_revision = brought;
        }
        fail("The journal's entry of the task cannot be read, or does not go with its model's.");
        return;
    }
    current_ = index_of(what.step);
    if (!planned) {
        fail(failure_);
        return;
    }
    if (!of.blue || of.blue->revision != what.model_revision) { // else it has gone through its weights
        report_plan();
    }
    enter(current_);
}


/// What the journal has of a task may be damaged, or from elsewhere: its steps must be those of its kind, and what a deployment
/// has brought must stand somewhere.
bool task_run::can_go_on() const
{
    const bool knows_steps = std::ranges::equal(
        steps_, what.steps, {}, [](const run_step &step) { return std::string_view(step.name); },
        [](const step_record &step) { return std::string_view(step.name); });
    const auto at = index_of(what.step);
    if (!knows_steps || what.step != steps_[at].name) {
        return false;
    }
    const auto is_ours = [this](const std::optional<placed_revision> &place) {
        return place && place->revision == what.model_revision;
    };
    return what.kind != task_kind::deploy || is_ours(of.incoming) || is_ours(of.green) || is_ours(of.blue);
}


std::size_t task_run::index_of(std::string_view name) const
{
    const auto at =
        std::find_if(steps_.begin(), steps_.end(), [name](const run_step &step) { return step.name == name; });
    return at == steps_.end() ? 0 : static_cast<std::size_t>(at - steps_.begin());
}


step_record &task_run::record()
{
    step_record *known = what.find_step(what.step);
    if (known == nullptr) {
        known = &what.steps.emplace_back();
        known->name = what.step;
    }
    return *known;
}


// The steps.

std::string task_run::running_words() const
{
    return "Step " + what.step + " of revision " + std::to_string(what.model_revision) + " is running.";
}


/// What a task says that waits for nothing.
std::string task_run::working_words() const
{
    return rolling_back_ ? failure_ + " The way back is being taken." : running_words();
}


void task_run::enter(std::size_t index)
{
    while (index < steps_.size() && what.steps[index].state == step_state::skipped) {
        ++index;
    }
    if (index == steps_.size()) {
        const std::string revision = std::to_string(what.model_revision);
        finish(task_status::completed,
               what.kind == task_kind::deploy
                   ? "Revision " + revision + " serves all traffic of model " + what.model_id + "."
                   : "Model " + what.model_id + " is deleted.");
        return;
    }

    current_ = index;
    what.step = steps_[index].name;
    what.progress = static_cast<double>(index) / static_cast<double>(steps_.size());
    stop_waiting();
    step_record &one = record();
    one.state = step_state::running;
    ++one.attempts;
    if (one.started_us == 0) {
        one.started_us = environment.time.wall_us();
    }
    if (steps_[index].enter != nullptr) {
        steps_[index].enter(*this);
    }
    save([this] { work(); });
}


void task_run::work()
{
    failpoint({kind_name(what.kind), what.step, "written"});
    if (timed_out_ || what.cancel_asked) {
        on_worked(outcome::canceled());
        return;
    }
    operation_ = start_work([this](const outcome &how) { on_worked(how); });
}


/// The step's work: with a place among the runs that work, or without one if it is a wait that lasts.
operation_ptr task_run::start_work(done_fn done)
{
    const bool waits = steps_[current_].waits;
    if (waits) {
        giving_back_ =
            environment.time.after(place_kept_for, [this] { environment.places.give_place_back(what.model_id); });
    }
    if (waits || environment.places.has_place(what.model_id)) {
        return steps_[current_].work(*this, std::move(done));
    }
    return in_order(environment.time,
                    {[this](done_fn then) { return take_place(std::move(then)); },
                     [this](done_fn then) { return steps_[current_].work(*this, std::move(then)); }},
                    std::move(done));
}


operation_ptr task_run::take_place(done_fn done)
{
    giving_back_.reset();
    auto waits = environment.places.take_place(what.model_id, [this, done = std::move(done)](const outcome &how) {
        if (how && time_stands_) {
            stop_waiting();
            note_if_unsaid();
        }
        let_time_stand(false);
        done(how);
    });
    if (!environment.places.has_place(what.model_id)) {
        let_time_stand(true);
        say_waiting(wait_for_place(what.step, what.model_revision));
    }
    return waits;
}


void task_run::on_worked(const outcome &how)
{
    operation_.reset();
    giving_back_.reset();
    if (stopping_) {
        stop(std::move(stopped_));
        return;
    }
    failpoint({kind_name(what.kind), what.step, "worked"});
    step_record &one = record();
    if (what.cancel_asked) {
        one.detail = "canceled by a client";
        fail("The task was canceled by a client in step " + one.name);
        return;
    }
    if (how) {
        one.state = step_state::done;
        one.ended_us = environment.time.wall_us();
        one.detail = how.detail;
        say(log_level::info, "Step " + one.name + " is done" + (how.detail.empty() ? "" : ": " + how.detail));
        if (steps_[current_].leave != nullptr) {
            steps_[current_].leave(*this);
        }
        enter(current_ + 1);
        return;
    }
    if (timed_out_) {
        fail("Step " + one.name + " was not done within the task's time limit of " +
             std::to_string(environment.config.limits.time_limit_s) + " s" +
             (one.detail.empty() ? "." : "; before that: " + one.detail));
        return;
    }
    if (how.is == outcome::kind::transient && one.attempts <= environment.config.limits.retries) {
        try_again(how);
        return;
    }
    one.detail = how.detail;
    fail("Step " + one.name + " failed" +
         (one.attempts > 1 ? " after " + count_words(one.attempts, "attempt", "attempts") : "") + ": " + how.detail);
}


void task_run::try_again(const outcome &how)
{
    step_record &one = record();
    one.detail = how.detail;
    const auto pause = pause_after(one.attempts);
    say(log_level::warning, "Attempt " + std::to_string(one.attempts) + " of step " + one.name +
                                " failed and is repeated in " + duration_words(pause) + ": " + how.detail);
    const auto now_us = environment.time.wall_us();
    const auto at_us = now_us + std::chrono::microseconds(pause).count();
    pause_ = environment.time.after(pause, [this] {
        pause_.reset();
        stop_waiting();
        step_record &again = record();
        what.detail = "Attempt " + std::to_string(++again.attempts) + " of step " + again.name +
                      " is running; the one before failed: " + again.detail;
        save([this] { work(); });
    });
    say_waiting(wait_for_retry(one.attempts, one.name, at_us, now_us, how.detail));
}


// The way back, and the end.

bool task_run::past_the_point_of_no_return() const
{
    // A deployment that has promoted stays: the traffic is well. A deletion whose model is unloaded stays one.
    // Unless the old blue is kept waiting for just that.
    if (what.kind != task_kind::deploy) {
        return current_ > index_of("unload");
    }
    const auto promote = index_of("promote");
    return current_ > promote || (current_ == promote && of.former == 0);
}


void task_run::fail(const std::string &why)
{
    failure_ = sentence(why);
    step_record &one = record();
    one.state = step_state::failed;
    one.ended_us = environment.time.wall_us();
    if (one.detail.empty()) {
        one.detail = why;
    }
    say(log_level::error, failure_);
    if (past_the_point_of_no_return()) {
        if (what.kind == task_kind::deploy) {
            finish(task_status::completed,
                   "Revision " + std::to_string(what.model_revision) +
                       " serves all traffic, but the old one could not be taken off the server. " + failure_ +
                       " It is tried again later, at the latest with the model's next task.");
        } else {
            finish(task_status::failed,
                   "The model is unloaded, but not all of it is gone. " + failure_ +
                       " Mend the cause: the rest is tried again later, and at once if you post the deletion again.");
        }
        return;
    }
    enter_rollback();
}


void task_run::enter_rollback()
{
    rolling_back_ = true;
    what.step = rollback_name;
    stop_waiting();
    step_record &one = record();
    one.state = step_state::running;
    ++one.attempts;
    if (one.started_us == 0) {
        one.started_us = environment.time.wall_us();
    }
    if (rollback_->enter != nullptr) {
        rollback_->enter(*this);
    }
    save([this] {
        failpoint({kind_name(what.kind), rollback_name, "written"});
        operation_ = rollback_->work(*this, [this](const outcome &how) { on_rolled_back(how); });
    });
}


void task_run::on_rolled_back(const outcome &how)
{
    operation_.reset();
    if (stopping_) {
        stop(std::move(stopped_));
        return;
    }
    failpoint({kind_name(what.kind), rollback_name, "worked"});
    step_record &one = record();
    if (how.is == outcome::kind::transient && one.attempts <= environment.config.limits.retries) {
        one.detail = how.detail;
        const auto pause = pause_after(one.attempts);
        const auto now_us = environment.time.wall_us();
        pause_ = environment.time.after(pause, [this] {
            pause_.reset();
            enter_rollback();
        });
        say_waiting(wait_for_retry(one.attempts, one.name, now_us + std::chrono::microseconds(pause).count(), now_us,
                                   how.detail));
        return;
    }
    one.state = how ? step_state::done : step_state::failed;
    one.ended_us = environment.time.wall_us();
    one.detail = how.detail;
    if (how && rollback_->leave != nullptr) {
        rollback_->leave(*this);
    }
    const std::string clean = what.kind == task_kind::deploy
                                  ? (of.blue ? " Revision " + std::to_string(of.blue->revision) + " serves as before."
                                             : " The model is not deployed.")
                                  : " The model serves as before.";
    finish(what.cancel_asked ? task_status::canceled : task_status::failed,
           failure_ + (how ? clean : " The way back is not complete either: " + sentence(how.detail)));
}


void task_run::finish(task_status status, const std::string &detail)
{
    stop_waiting();
    what.status = status;
    what.detail = detail;
    if (status == task_status::completed) {
        what.progress = 1;
    }
    say(status == task_status::failed ? log_level::error : log_level::info,
        "The task is " + std::string(status_name(status)) + ": " + what.detail);
    deadline_.reset();
    save([this] {
        failpoint({kind_name(what.kind), status_name(what.status), "written"});
        const auto ended = std::move(ended_); // which may destroy this
        ended();
    });
}


void task_run::stop(std::function<void()> stopped)
{
    stopping_ = true;
    stopped_ = std::move(stopped);
    pause_.reset();
    deadline_.reset();
    if (journal_pause_) {
        journal_pause_.reset();
        operation_.reset();
    }
    if (operation_) {
        operation_->cancel();
        return;
    }
    if (stopped_) {
        const auto tell = std::exchange(stopped_, nullptr);
        tell();
    }
}

} // namespace rollout
