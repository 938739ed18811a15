// What a run writes into the journal, and what the gateways are told of it.
#include "worker/rollout/task_run.hpp"

#include <algorithm>

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
    environment.book.save(what, nullptr, [](const outcome &, std::uint64_t) {});
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
