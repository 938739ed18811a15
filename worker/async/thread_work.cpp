#include "worker/async/thread_work.hpp"

#include "worker/async/completion.hpp"

#include <exception>
#include <memory>
#include <utility>

namespace rollout {
namespace {

struct job {
    uv_work_t request{};
    blocking_fn work;
    completion<outcome> done;
    stop_flag stop{false};
    outcome ended;
    std::shared_ptr<job> held_by_libuv; ///< until the callback runs on the loop

    void run() noexcept
    {
        try {
            ended = work(stop);
        } catch (const std::exception &thrown) {
            ended = {outcome::kind::permanent, thrown.what()};
        } catch (...) {
            ended = {outcome::kind::permanent, "an unexpected error"};
        }
    }
};

class thread_operation final : public operation {
  public:
    explicit thread_operation(std::shared_ptr<job> of) : job_(std::move(of)) {}

    ~thread_operation() override
    {
        job_->done.drop();
        stop();
    }

    void cancel() override { stop(); }

  private:
    void stop() noexcept
    {
        job_->stop = true;
        if (job_->held_by_libuv) {
            uv_cancel(reinterpret_cast<uv_req_t *>(&job_->request)); // refused for work that is already running
        }
    }

    std::shared_ptr<job> job_;
};

job &job_of(uv_work_t *request) noexcept
{
    return *static_cast<job *>(request->data);
}

} // namespace


operation_ptr run_on_thread(uv_loop_t *loop, blocking_fn work, done_fn done)
{
    auto queued = std::make_shared<job>();
    queued->request.data = queued.get();
    queued->work = std::move(work);
    queued->done = std::move(done);
    auto held = std::make_unique<thread_operation>(queued);

    queued->held_by_libuv = queued;
    uv_queue_work(
        loop, &queued->request, [](uv_work_t *request) { job_of(request).run(); },
        [](uv_work_t *request, int status) {
            const auto job = std::move(job_of(request).held_by_libuv);
            job->work = nullptr; // what it holds is destroyed on the loop's thread
            job->done(status == UV_ECANCELED ? outcome::canceled() : std::move(job->ended));
        });
    return held;
}

} // namespace rollout
