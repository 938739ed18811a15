#include "worker/journal/retention.hpp"

#include "worker/base/format.hpp"
#include "worker/base/log.hpp"

#include <algorithm>

namespace rollout {

namespace {

using namespace std::chrono_literals;

constexpr auto interval = 3600s;

/// How many rows one transaction checks: about a millisecond of the journal's time, as new tasks that arrive with it
/// have to wait.
constexpr std::size_t rows_a_step = 10;

/// A step is followed by a pause of this many times its duration.
constexpr int rests = 4;
constexpr auto shortest_rest = 10ms;

} // namespace


void retention::start()
{
    if (!run_) {
        run_ = std::make_shared<int>(0);
        sweep();
    }
}


void retention::stop()
{
    run_.reset();
    pause_.reset();
}


void retention::sweep()
{
    at_ = {};
    removed_ = 0;
    journal_.count_tasks([this, run = std::weak_ptr(run_)](const outcome &ended, std::uint64_t count) {
        if (run.expired()) {
            return;
        }
        excess_ = count > rule_.max_tasks ? count - rule_.max_tasks : 0;
        ended ? step() : rest(ended.detail);
    });
}


void retention::step()
{
    const auto began = time_.now();
    const auto age_us = std::chrono::microseconds(rule_.age).count();
    const auto before_us = excess_ != 0 ? INT64_MAX : time_.wall_us() - age_us;
    const auto rows = excess_ != 0 ? std::min<std::uint64_t>(rows_a_step, excess_) : rows_a_step;
    journal_.purge(at_, before_us, rows,
                   [this, began, run = std::weak_ptr(run_)](const outcome &ended, const purge_step &done) {
                       if (!run.expired()) {
                           stepped(ended, done, began);
                       }
                   });
}


void retention::stepped(const outcome &ended, const purge_step &done, std::chrono::milliseconds began)
{
    if (!ended) {
        rest(ended.is_lost() ? "" : ended.detail); // lost: another rolloutd removes them
        return;
    }
    at_ = done.scanned_up_to;
    removed_ += done.removed;
    excess_ -= std::min(excess_, done.removed);
    if (!done.more) {
        rest({});
        return;
    }
    const auto pause = std::max<std::chrono::milliseconds>(shortest_rest, rests * (time_.now() - began));
    pause_ = time_.after(pause, [this] { step(); });
}


/// Waits until the next sweep.
void retention::rest(const std::string &fault)
{
    if (!fault.empty()) {
        log(log_level::error, "Old tasks could not be removed: " + fault);
    }
    if (removed_ != 0) {
        log(log_level::info, format_count(removed_, "old task", "old tasks") + " went from the journal");
    }
    pause_ = time_.after(interval, [this] { sweep(); });
}

} // namespace rollout
