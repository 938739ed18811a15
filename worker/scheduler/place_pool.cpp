#include "worker/scheduler/place_pool.hpp"

#include "worker/async/combine.hpp"

#include <utility>

namespace rollout {

namespace {

using namespace std::chrono_literals;

} // namespace


/// A task at work that waits for a place.
class place_pool::place_wait final : public operation {
  public:
    /// `of` is destroyed after it, and so is the task's entry there.
    place_wait(place_pool &of, worker &task, const std::string &model_id, done_fn done)
        : of_(of), task_(task), turn_{urgency::under_way, task.sequence, model_id}, done_(std::move(done))
    {
        task_.waits = this;
        of_.line_.insert(turn_);
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
        if (task_.waits == this) {
            task_.waits = nullptr;
            of_.line_.erase(turn_);
        }
    }

    void end(outcome result)
    {
        if (!end_) {
            end_ = ended(of_.time_, std::move(result), std::move(done_));
        }
    }

    place_pool &of_;
    worker &task_;
    const turn turn_;
    done_fn done_;
    operation_ptr end_;
};


place_pool::place_pool(clock &time, surroundings around) : time_(time), around_(std::move(around)) {}


void place_pool::line_up(turn with_first_task)
{
    leave_line(with_first_task.model_id);
    line_.insert(with_first_task);
    const std::string model_id = with_first_task.model_id;
    lined_up_.emplace(model_id, std::move(with_first_task));
}


void place_pool::leave_line(const std::string &model_id)
{
    if (const auto known = lined_up_.extract(model_id)) {
        line_.erase(known.mapped());
    }
}


void place_pool::hand_out()
{
    while (!stopped_ && !line_.empty()) {
        const turn next = *line_.begin();
        const bool is_free = !is_full();
        if (!is_free && next.is != urgency::begun) {
            return;
        }
        line_.erase(line_.begin());
        if (lined_up_.erase(next.model_id) == 0) {
            grant(at_work_.at(next.model_id));
            continue;
        }
        at_work_.emplace(next.model_id, worker{next.sequence, is_free});
        taken_ += is_free;
        around_.begin(next.model_id);
    }
    around_.offer_rest();
}


void place_pool::hand_out_soon()
{
    if (!stopped_) {
        soon_ = time_.after(0ms, [this] { hand_out(); });
    }
}


void place_pool::grant(worker &to)
{
    to.has_place = true;
    ++taken_;
    to.waits->granted();
}


void place_pool::end(const std::string &model_id)
{
    give_place_back(model_id);
    at_work_.erase(model_id);
}


void place_pool::stop()
{
    stopped_ = true;
    soon_.reset();
}


bool place_pool::has_place(const std::string &model_id) const
{
    return at_work_.at(model_id).has_place;
}


operation_ptr place_pool::take_place(const std::string &model_id, done_fn done)
{
    worker &task = at_work_.at(model_id);
    auto wait = std::make_unique<place_wait>(*this, task, model_id, std::move(done));
    if (task.has_place) {
        wait->granted();
    } else {
        hand_out();
    }
    return wait;
}


void place_pool::give_place_back(const std::string &model_id)
{
    if (std::exchange(at_work_.at(model_id).has_place, false)) {
        --taken_;
        hand_out_soon();
    }
}

} // namespace rollout
