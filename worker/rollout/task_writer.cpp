// What a run writes into the journal, and what the gateways are told of it.
#include "worker/rollout/task_run.hpp"

#include <algorithm>
#include <utility>

namespace rollout {

namespace {

using namespace std::chrono_literals;

constexpr auto journal_retry_pause = 1000ms;

} // namespace


void task_run::note_time()
{
    what.updated_us = std::max(environment.time.wall_us(), what.updated_us);
    if (!time_stands_) {
        what.elapsed_ms =
            elapsed_before_ms_ + static_cast<std::uint64_t>((environment.time.now() - started_).count());
    }
}


void task_run::note_change()
{
    note_time();
    note_told();
    environment.book.save(what, nullptr, [this, alive = alive_](const outcome &how, std::uint64_t) {
        if (!how && *alive) {
            is_unsaid_ = true;
            note_pause_ = environment.time.after(journal_retry_pause, [this] {
                if (!saving_) { // else that says it; and a task must not be written ahead of its model
                    note_if_unsaid();
                }
            });
        }
    });
}


void task_run::say_waiting(const wait_state &what_for)
{
    const std::string detail = rolling_back_ ? failure_ + ' ' + what_for.sentence : what_for.sentence;
    if (!is_unsaid_ && what.waits_for == what_for.reason && what.hold_ends_us == what_for.hold_ends_us &&
        what.detail == detail) {
        return;
    }
    what.set_waiting(what_for);
    what.detail = detail;
    note_change();
}


void task_run::stop_waiting()
{
    is_unsaid_ = is_unsaid_ || what.waits_for != wait_reason::none;
    what.set_waiting({});
    what.detail = working_words();
}


void task_run::note_if_unsaid()
{
    if (is_unsaid_ && !is_final(what.status)) {
        note_change();
    }
}


/// What is being written is said; who waits for this task hears of it.
void task_run::note_told()
{
    is_unsaid_ = false;
    if (std::exchange(told_, what.waits_for) != what.waits_for && environment.waits_changed) {
        environment.waits_changed();
    }
}


void task_run::note_progress(double share_of_step, const std::string &words)
{
    what.progress = (static_cast<double>(current_) + share_of_step) / static_cast<double>(steps_.size());
    what.detail = running_words() + " " + words + ".";
    record().detail = words;
    note_change();
}


void task_run::save(std::function<void()> then)
{
    note_time();
    note_told();
    saving_ = true;
    const model *with = of.last_revision == 0 ? nullptr : &of; // of which there is nothing to remember yet
    environment.book.save(
        what, with, [this, alive = alive_, then = std::move(then)](const outcome &how, std::uint64_t revision) {
            if (!*alive) {
                return;
            }
            if (!how && stopping_) {
                say(log_level::error,
                    "The journal could not be written; the next start goes on from before: " + how.detail);
                operation_.reset(); // which waits for this
                stop(std::move(stopped_));
                return;
            }
            if (!how) {
                say(log_level::error, "The journal could not be written and is tried again: " + how.detail);
                journal_pause_ = environment.time.after(journal_retry_pause, [this, then] {
                    journal_pause_.reset();
                    save(then);
                });
                return;
            }
            saving_ = false;
            what.revision = revision;
            publish(revision);
            if (!stopping_ || operation_) {
                then();
            }
        });
}


/// Tells the gateways of the routes that changed with that write.
void task_run::publish(std::uint64_t revision)
{
    auto now = routes_of(of, published_);
    for (const auto &one : now) {
        const auto same_part = [&one](const route &other) { return other.part == one.part; };
        const auto before = std::ranges::find_if(published_, same_part);
        if (before == published_.end() ? !one.removed() : !(*before == one)) {
            of.route_revision = revision;
            environment.gateways.publish(one, revision);
        }
    }
    std::erase_if(now, [](const route &one) { return one.removed(); });
    published_ = std::move(now);
}

} // namespace rollout
