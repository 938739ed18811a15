// Who holds a place among the runs that work, and who waits for one.
#include "worker/scheduler/scheduler.hpp"

#include <utility>

namespace rollout {

namespace {

using namespace std::chrono_literals;

} // namespace


/// A run that waits for a place.
class scheduler::place_wait final : public operation {
  public:
    /// The run's own: it goes before `run` does.
    place_wait(scheduler &of, running_task &run, const std::string &model_id, done_fn done)
        : of_(of), run_(run), turn_{urgency::under_way, run.task.sequence, model_id}, done_(std::move(done))
    {
        run_.waits = this;
        of_.turns_.insert(turn_);
    }

    ~place_wait() override { leave(); }

    void cancel() override
    {
        leave();
        end(outcome::canceled());
    }

    void granted()
    {
        leave();
        end(outcome::ok());
    }

  private:
    void leave()
    {
        if (run_.waits == this) {
            run_.waits = nullptr;
            of_.turns_.erase(turn_);
        }
    }

    void end(outcome how)
    {
        if (!end_) {
            end_ = of_.time_.after(0ms, [done = std::move(done_), how = std::move(how)] { done(how); });
        }
    }

    scheduler &of_;
    running_task &run_;
    const turn turn_;
    done_fn done_;
    operation_ptr end_;
};


bool scheduler::has_place(const std::string &model_id) const
{
    return runs_.at(model_id).has_place;
}


operation_ptr scheduler::take_place(const std::string &model_id, done_fn done)
{
    running_task &run = runs_.at(model_id);
    auto wait = std::make_unique<place_wait>(*this, run, model_id, std::move(done));
    if (run.has_place) {
        wait->granted();
    } else {
        start_next();
    }
    return wait;
}


/// Whether all places are taken, by tasks or by what is tried again behind them.
bool scheduler::is_full() const noexcept
{
    return places_taken_ + unloads_.places() >= config_->limits.max_concurrent_rollouts;
}


/// A place that a task waits for is the task's.
unload_retry::surroundings scheduler::around_unloads()
{
    unload_retry::surroundings around;
    around.is_at_work = [this](const std::string &model_id) { return runs_.contains(model_id); };
    around.has_room = [this] { return !stopping_ && turns_.empty() && !is_full(); };
    around.place_given_back = [this] { start_soon(); };
    around.let_go = [this](const std::string &model_id, std::uint64_t revision, done_fn done) {
        return watch_.let_go(model_id, revision, std::move(done));
    };
    around.taken_off = [this](const std::string &model_id) { put_aside(model_id); };
    return around;
}


void scheduler::grant_place(running_task &run)
{
    run.has_place = true;
    ++places_taken_;
    run.waits->granted();
}


void scheduler::give_place_back(const std::string &model_id)
{
    running_task &run = runs_.at(model_id);
    if (std::exchange(run.has_place, false)) {
        --places_taken_;
        start_soon();
    }
}

} // namespace rollout
