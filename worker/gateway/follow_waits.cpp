#include "worker/gateway/follow_waits.hpp"

#include <utility>

namespace rollout {

class follow_waits::wait final : public operation {
  public:
    wait(follow_waits &all, std::uint64_t up_to, done_fn done) : revision(up_to), all_(all), done_(std::move(done))
    {
        all_.waits_.push_back(this);
    }
    ~wait() override { all_.waits_.remove(this); }

    void cancel() override { end(outcome::canceled()); }

    void end(outcome result)
    {
        if (!wake_) {
            wake_ = all_.time_.after({}, [done = std::move(done_), result = std::move(result)] { done(result); });
        }
    }

    const std::uint64_t revision;

  private:
    follow_waits &all_;
    done_fn done_;
    operation_ptr wake_; ///< the wait has ended, and its callback runs next
};


operation_ptr follow_waits::start(std::uint64_t revision, done_fn done)
{
    return std::make_unique<wait>(*this, revision, std::move(done));
}


void follow_waits::end_up_to(std::uint64_t revision)
{
    for (auto *waiting : waits_) {
        if (waiting->revision <= revision) {
            waiting->end(outcome::ok());
        }
    }
}

} // namespace rollout
