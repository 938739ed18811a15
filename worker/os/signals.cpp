#include "worker/os/signals.hpp"

#include <csignal>
#include <utility>

namespace rollout {

namespace {

#ifdef ROLLOUT_FAILPOINTS
constexpr int caught_signals[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2};
#else
constexpr int caught_signals[] = {SIGTERM, SIGINT, SIGHUP};
#endif

/// Blocks signals while it exists; threads that are created in that time never receive one.
class signal_pause {
  public:
    signal_pause()
    {
        sigset_t ours;
        sigemptyset(&ours);
        for (const int number : caught_signals) {
            sigaddset(&ours, number);
        }
        pthread_sigmask(SIG_BLOCK, &ours, &before_);
    }
    ~signal_pause() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
    signal_pause(const signal_pause &) = delete;
    signal_pause &operator=(const signal_pause &) = delete;

  private:
    sigset_t before_{};
};

} // namespace


void make_threads(uv_loop_t *loop)
{
    const signal_pause pause;
    uv_work_t nothing;
    uv_queue_work(
        loop, &nothing, [](uv_work_t *) {}, nullptr);
    uv_run(loop, UV_RUN_DEFAULT);
}


std::jthread make_thread(std::function<void(const std::stop_token &stop)> work)
{
    const signal_pause pause;
    return std::jthread(std::move(work));
}


void signal_catcher::start(std::function<void(int number)> caught)
{
    caught_ = std::move(caught);
    for (const int number : caught_signals) {
        handles_.push_back(std::make_unique<uv_signal_t>());
        uv_signal_init(loop_, handles_.back().get());
        handles_.back()->data = this;
        uv_signal_start(
            handles_.back().get(),
            [](uv_signal_t *from, int signal) { static_cast<signal_catcher *>(from->data)->caught_(signal); },
            number);
    }
}


void signal_catcher::ignore()
{
    const signal_pause pause; // libuv restores the default action, which is to terminate
    for (auto &handle : std::exchange(handles_, {})) {
        const int number = handle->signum;
        uv_close(reinterpret_cast<uv_handle_t *>(handle.release()),
                 [](uv_handle_t *closed) { delete reinterpret_cast<uv_signal_t *>(closed); });
        std::signal(number, SIG_IGN);
    }
}

} // namespace rollout
