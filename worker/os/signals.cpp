#include "worker/os/signals.hpp"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <system_error>
#include <utility>

#include <sys/signalfd.h>
#include <unistd.h>

namespace rollout {

namespace {

#ifdef ROLLOUT_FAILPOINTS
constexpr int caught_signals[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2};
#else
constexpr int caught_signals[] = {SIGTERM, SIGINT, SIGHUP};
#endif

sigset_t set_of_signals()
{
    sigset_t all;
    sigemptyset(&all);
    for (const int number : caught_signals) {
        sigaddset(&all, number);
    }
    return all;
}


/// Blocks signals while it exists; threads that are created in that time never receive one.
class signal_pause {
  public:
    signal_pause()
    {
        const sigset_t all = set_of_signals();
        pthread_sigmask(SIG_BLOCK, &all, &before_);
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


bool are_signals_blocked()
{
    sigset_t blocked;
    pthread_sigmask(SIG_BLOCK, nullptr, &blocked);
    return std::ranges::all_of(caught_signals, [&](int number) { return sigismember(&blocked, number) == 1; });
}


void signal_catcher::start(std::function<void(int number)> caught)
{
    const sigset_t all = set_of_signals();
    pthread_sigmask(SIG_BLOCK, &all, nullptr);
    unique_fd made(signalfd(-1, &all, SFD_NONBLOCK | SFD_CLOEXEC));
    if (made.get() < 0) {
        throw std::system_error(errno, std::generic_category(), "signals cannot be received: signalfd");
    }
    caught_ = std::move(caught);
    descriptor_ = std::move(made);
    poll_ = std::make_unique<uv_poll_t>();
    uv_poll_init(loop_, poll_.get(), descriptor_.get());
    poll_->data = this;
    uv_poll_start(poll_.get(), UV_READABLE,
                  [](uv_poll_t *from, int, int) { static_cast<signal_catcher *>(from->data)->receive(); });
}


void signal_catcher::receive()
{
    signalfd_siginfo signal{};
    while (descriptor_.get() >= 0 && read(descriptor_.get(), &signal, sizeof(signal)) == sizeof(signal)) {
        caught_(static_cast<int>(signal.ssi_signo));
    }
}


/// They stay blocked, and so without an effect.
void signal_catcher::ignore()
{
    if (poll_) {
        uv_poll_stop(poll_.get());
        uv_close(reinterpret_cast<uv_handle_t *>(poll_.release()),
                 [](uv_handle_t *closed) { delete reinterpret_cast<uv_poll_t *>(closed); });
        descriptor_.reset();
    }
}

} // namespace rollout
