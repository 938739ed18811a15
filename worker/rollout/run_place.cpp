#include "worker/rollout/run_place.hpp"

#include "worker/rollout/waiting_detail.hpp"

#include <utility>

namespace rollout {

namespace {

using namespace std::chrono_literals;

/// A wait that is over sooner keeps the run's place: a rollout without holds goes through in one piece.
constexpr auto place_kept_for = 1000ms;

} // namespace


run_place::run_place(work_places &places, clock &time, time_limit &limit, task_writer &writer,
                     const rollout::task &task)
    : places_(places), time_(time), limit_(limit), writer_(writer), task_(task)
{
}


operation_ptr run_place::work_with(const start_fn &work, done_fn done)
{
    if (has()) {
        return work(std::move(done));
    }
    return in_order(time_, {[this](done_fn then) { return take(std::move(then)); }, work}, std::move(done));
}


operation_ptr run_place::wait_without(const start_fn &work, done_fn done)
{
    giving_back_ = time_.after(place_kept_for, [this] { places_.give_place_back(task_.model_id); });
    return work(std::move(done));
}


operation_ptr run_place::take(done_fn done)
{
    keep();
    auto wait = places_.take_place(task_.model_id, [this, done = std::move(done)](const outcome &result) {
        if (result && limit_.stands()) {
            writer_.stop_waiting();
            writer_.note_if_stale();
        }
        limit_.end_wait(waited_for::place);
        done(result);
    });
    if (!has()) {
        limit_.wait_for(waited_for::place);
        writer_.say_waiting(wait_for_place(task_.step, task_.model_revision));
    }
    return wait;
}

} // namespace rollout
