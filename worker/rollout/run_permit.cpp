#include "worker/rollout/run_permit.hpp"

#include "worker/rollout/waiting_detail.hpp"

#include <utility>

namespace rollout {

namespace {

using namespace std::chrono_literals;

/// A shorter wait keeps the run's permit, so that a rollout without holds runs without interruption.
constexpr auto permit_kept_for = 1000ms;

} // namespace


run_permit::run_permit(work_permits &permits, clock &time, time_limit &limit, task_writer &writer,
                       const rollout::task &task)
    : permits_(permits), time_(time), limit_(limit), writer_(writer), task_(task)
{
}


operation_ptr run_permit::work_with(const start_fn &work, done_fn done)
{
    if (has()) {
        return work(std::move(done));
    }
    return in_order(time_, {[this](done_fn then) { return take(std::move(then)); }, work}, std::move(done));
}


operation_ptr run_permit::wait_without(const start_fn &work, done_fn done)
{
    giving_back_ = time_.after(permit_kept_for, [this] { release(); });
    return work(std::move(done));
}


operation_ptr run_permit::take(done_fn done)
{
    keep();
    auto wait = permits_.acquire_permit(task_.model_id, [this, done = std::move(done)](const outcome &result) {
        if (result && limit_.stands()) {
            writer_.stop_waiting();
            writer_.note_if_stale();
        }
        limit_.end_wait(waited_for::permit);
        done(result);
    });
    if (!has()) {
        limit_.wait_for(waited_for::permit);
        writer_.say_waiting(wait_for_permit(task_.step, task_.model_revision));
    }
    return wait;
}

} // namespace rollout
