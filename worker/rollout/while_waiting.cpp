#include "worker/rollout/while_waiting.hpp"

#include "worker/async/completion.hpp"

namespace rollout {

namespace {

using namespace std::chrono_literals;

/// A shorter wait is over before anybody could read of it, and costs no write to the journal.
constexpr auto grace = 100ms;
constexpr auto report_interval = 1000ms;


class waiting_work final : public operation {
  public:
    waiting_work(run_context &run, std::function<wait_state()> words, const start_fn &work, done_fn done)
        : run_(run), words_(std::move(words)), done_(std::move(done))
    {
        say_after(grace);
        work_ = work([this](const outcome &result) {
            alarm_.reset();
            if (said_) {
                run_.writer.stop_waiting();
            }
            done_(result);
        });
    }

    void cancel() override { work_->cancel(); }

  private:
    void say_after(std::chrono::milliseconds pause)
    {
        alarm_ = run_.environment.time.after(pause, [this] {
            said_ = true;
            run_.writer.say_waiting(words_());
            say_after(report_interval);
        });
    }

    run_context &run_;
    std::function<wait_state()> words_;
    completion<outcome> done_;
    bool said_ = false;
    operation_ptr alarm_;
    operation_ptr work_;
};

} // namespace


operation_ptr while_waiting(run_context &run, std::function<wait_state()> words, const start_fn &work, done_fn done)
{
    return std::make_unique<waiting_work>(run, std::move(words), work, std::move(done));
}

} // namespace rollout
