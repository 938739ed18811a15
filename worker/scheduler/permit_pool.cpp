#include "worker/scheduler/permit_pool.hpp"

#include "worker/async/combine.hpp"

#include <utility>

namespace rollout {

namespace {

using namespace std::chrono_literals;

} // namespace


/// A running task that waits for a permit.
class permit_pool::permit_wait final : public operation {
  public:
    /// `of`, and the task's entry in it, outlive this.
    permit_wait(permit_pool &of, worker &task, const std::string &model_id, done_fn done)
        : of_(of), task_(task), turn_{urgency::under_way, task.sequence, model_id}, done_(std::move(done))
    {
        task_.waits = this;
        of_.waiting_.insert(turn_);
    }

    ~permit_wait() override { leave(); }

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
            of_.waiting_.erase(turn_);
        }
    }

    void end(outcome result)
    {
        if (!end_) {
            end_ = ended(of_.time_, std::move(result), std::move(done_));
        }
    }

    permit_pool &of_;
    worker &task_;
    const turn turn_;
    done_fn done_;
    operation_ptr end_;
};


permit_pool::permit_pool(clock &time, surroundings around) : time_(time), around_(std::move(around)) {}


void permit_pool::enqueue(turn with_first_task)
{
    dequeue(with_first_task.model_id);
    waiting_.insert(with_first_task);
    const std::string model_id = with_first_task.model_id;
    queued_.emplace(model_id, std::move(with_first_task));
}


void permit_pool::dequeue(const std::string &model_id)
{
    if (const auto known = queued_.extract(model_id)) {
        waiting_.erase(known.mapped());
    }
}


void permit_pool::hand_out()
{
    while (!stopped_ && !waiting_.empty()) {
        const bool is_free = !is_full();
        if (!is_free && waiting_.begin()->is != urgency::begun) {
            return;
        }
        const turn next = std::move(waiting_.extract(waiting_.begin()).value());
        if (queued_.erase(next.model_id) == 0) {
            grant(at_work_.at(next.model_id));
            continue;
        }
        at_work_.emplace(next.model_id, worker{next.sequence, is_free});
        taken_ += is_free;
        around_.begin(next.model_id);
    }
    around_.offer_rest();
}


void permit_pool::hand_out_soon()
{
    if (!stopped_) {
        soon_ = time_.after(0ms, [this] { hand_out(); });
    }
}


void permit_pool::grant(worker &to)
{
    to.has_permit = true;
    ++taken_;
    to.waits->granted();
}


void permit_pool::end(const std::string &model_id)
{
    release_permit(model_id);
    at_work_.erase(model_id);
}


void permit_pool::stop()
{
    stopped_ = true;
    soon_.reset();
}


bool permit_pool::has_permit(const std::string &model_id) const
{
    return at_work_.at(model_id).has_permit;
}


operation_ptr permit_pool::acquire_permit(const std::string &model_id, done_fn done)
{
    worker &task = at_work_.at(model_id);
    auto wait = std::make_unique<permit_wait>(*this, task, model_id, std::move(done));
    if (task.has_permit) {
        wait->granted();
    } else {
        hand_out();
    }
    return wait;
}


void permit_pool::release_permit(const std::string &model_id)
{
    if (std::exchange(at_work_.at(model_id).has_permit, false)) {
        --taken_;
        hand_out_soon();
    }
}

} // namespace rollout
