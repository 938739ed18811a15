#include "worker/rollout/task_writer.hpp"

#include "worker/rollout/task_log.hpp"

#include <algorithm>
#include <utility>

namespace rollout {

namespace {

using namespace std::chrono_literals;

constexpr auto journal_retry_pause = 1000ms;

} // namespace


task_writer::task_writer(rollout::journal &journal, clock &time, const time_limit &limit, rollout::task &task,
                         const rollout::model &model)
    : journal_(journal), time_(time), limit_(limit), task_(task), model_(model)
{
}


/// Brings the document up to date, and reports when the task waits for something else.
void task_writer::prepare()
{
    task_.updated_us = std::max(time_.wall_us(), task_.updated_us);
    task_.elapsed_ms = static_cast<std::uint64_t>(limit_.elapsed().count());
    is_stale_ = false;
    if (std::exchange(written_wait_, task_.waits_for) != task_.waits_for && on_waits_changed) {
        on_waits_changed();
    }
}


void task_writer::save(completion<> then)
{
    if (save_ == save_state::lost) {
        save_pause_ = time_.after(0ms, [this] { on_given_up(); });
        return;
    }
    prepare();
    save_ = save_state::under_way;
    const model *with = model_.last_revision == 0 ? nullptr : &model_; // else nothing to remember of the model yet
    journal_.save(
        task_, with,
        lifetime_.bound([this, then = std::move(then)](const outcome &result, std::uint64_t revision) mutable {
            on_saved(result, revision, then);
        }));
}


/// Ends all writing: whatever this task would write next is the other rolloutd's to decide.
void task_writer::lose(const outcome &result, bool is_save)
{
    if (std::exchange(save_, save_state::lost) == save_state::lost) {
        return;
    }
    save_was_lost_ = is_save;
    save_pause_.reset();
    note_pause_.reset();
    log_task(task_, log_level::warning, "The task ends here, as another rolloutd has it now: " + result.detail);
    on_lost();
}


void task_writer::on_saved(const outcome &result, std::uint64_t revision, completion<> then)
{
    if (save_ == save_state::lost) {
        on_given_up();
        return;
    }
    if (result.is_lost()) {
        lose(result, true);
        return;
    }
    if (result) {
        save_ = save_state::none;
        task_.revision = revision;
        if (on_durable) {
            on_durable(revision);
        }
        then();
        return;
    }
    if (gives_up_) {
        log_task(task_, log_level::error,
                 "The journal could not be written; the next start continues from its last entry: " + result.detail);
        save_ = save_state::given_up;
        on_given_up();
        return;
    }
    log_task(task_, log_level::error, "The journal could not be written and is tried again: " + result.detail);
    save_ = save_state::failed;
    save_pause_ = time_.after(journal_retry_pause, [this, then = std::move(then)] { save(then); });
}


bool task_writer::give_up()
{
    gives_up_ = true;
    if (save_ == save_state::lost) {
        return std::exchange(save_was_lost_, false);
    }
    if (save_ != save_state::failed) {
        return false;
    }
    save_ = save_state::given_up;
    save_pause_.reset();
    return true;
}


void task_writer::write_once(written_fn done)
{
    prepare();
    auto check = lifetime_.bound([this](const outcome &result) {
        if (result.is_lost()) {
            lose(result, false);
        }
    });
    journal_.save(task_, nullptr,
                  [row = row_of(task_, 0), check = std::move(check),
                   done = std::move(done)](const outcome &result, std::uint64_t revision) mutable {
                      row.revision = revision;
                      done(result, row);
                      check(result);
                  });
}


void task_writer::note()
{
    if (save_ == save_state::lost) {
        return;
    }
    prepare();
    journal_.save(task_, nullptr, lifetime_.bound([this](const outcome &result, std::uint64_t) {
        if (result || save_ == save_state::lost) {
            return;
        }
        if (result.is_lost()) {
            lose(result, false);
            return;
        }
        is_stale_ = true;
        note_pause_ = time_.after(journal_retry_pause, [this] {
            if (save_ == save_state::none) { // else the save writes it
                note_if_stale();
            }
        });
    }));
}


void task_writer::note_progress(double share_of_step, const std::string &words)
{
    const auto step = std::ranges::find(task_.steps, task_.step, &step_record::name);
    task_.progress =
        (static_cast<double>(step - task_.steps.begin()) + share_of_step) / static_cast<double>(task_.steps.size());
    task_.detail = running_detail() + " " + words + ".";
    if (step != task_.steps.end()) {
        step->detail = words;
    }
    note();
}


std::string task_writer::running_detail() const
{
    return "Step " + task_.step + " of revision " + std::to_string(task_.model_revision) + " is running.";
}


void task_writer::say_step(const std::string &words)
{
    step_record *step = task_.find_step(task_.step);
    if (step != nullptr && step->detail != words) {
        step->detail = words;
        is_stale_ = true;
    }
}


void task_writer::say_waiting(const wait_state &what_for)
{
    const std::string detail = way_back_ ? *way_back_ + ' ' + what_for.sentence : what_for.sentence;
    if (!is_stale_ && task_.waits_for == what_for.reason && task_.hold_ends_us == what_for.hold_ends_us &&
        task_.detail == detail) {
        return;
    }
    task_.set_waiting(what_for);
    task_.detail = detail;
    note();
}


void task_writer::stop_waiting()
{
    is_stale_ = is_stale_ || task_.waits_for != wait_reason::none;
    task_.set_waiting({});
    task_.detail = way_back_ ? *way_back_ + " It is rolled back." : running_detail();
}


void task_writer::note_if_stale()
{
    if (is_stale_ && !is_final(task_.status)) {
        note();
    }
}


void task_writer::say_first(std::string why)
{
    way_back_ = std::move(why);
}

} // namespace rollout
