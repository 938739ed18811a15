#include "worker/base/log_output.hpp"

#include "common/base/unique_fd.hpp"
#include "worker/base/log.hpp"

#include <algorithm>
#include <chrono>
#include <climits>
#include <condition_variable>
#include <csignal>
#include <mutex>
#include <string>
#include <thread>
#include <utility>

#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

namespace rollout {

namespace {

constexpr auto longest_flush = std::chrono::seconds(2);


bool is_file() noexcept
{
    struct stat what = {};
    return fstat(STDERR_FILENO, &what) != 0 || S_ISREG(what.st_mode);
}


/// Returns whether that many bytes can be written to standard error without blocking. Files are assumed to never block.
bool takes(std::size_t bytes) noexcept
{
    if (is_file()) {
        return true;
    }
    pollfd room = {STDERR_FILENO, POLLOUT, 0};
    return bytes <= PIPE_BUF && poll(&room, 1, 0) != 0;
}


void write_to_reader(std::string_view lines) noexcept
{
    write_all(STDERR_FILENO, lines.data(), lines.size());
}


/// Exists as long as the process: any thread may log until the very end.
class output {
  public:
    void put(std::string_view lines, bool is_error)
    {
        const std::lock_guard lock(mutex_);
        if (is_idle() && takes(lines.size())) {
            write_to_reader(lines);
            return;
        }
        if (waiting_.size() + lines.size() > (is_error ? 2 : 1) * waiting_bytes) {
            dropped_ += static_cast<std::size_t>(std::count(lines.begin(), lines.end(), '\n'));
            return;
        }
        waiting_ += lines;
        start_writer();
        changed_.notify_all();
    }

    void flush()
    {
        std::unique_lock lock(mutex_);
        changed_.wait_for(lock, longest_flush, [this] { return is_idle(); });
    }

  private:
    bool is_idle() const noexcept { return waiting_.empty() && !writes_; }

    void start_writer()
    {
        if (std::exchange(has_writer_, true)) {
            return;
        }
        // Signals are for the loop's thread.
        sigset_t all;
        sigset_t before;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        try {
            std::thread([this] { write_what_waits(); }).detach();
        } catch (...) {
            has_writer_ = false; // the next line tries again
        }
        pthread_sigmask(SIG_SETMASK, &before, nullptr);
    }

    void write_what_waits()
    {
        std::unique_lock lock(mutex_);
        for (;;) {
            changed_.wait(lock, [this] { return !waiting_.empty(); });
            const std::string lines = std::exchange(waiting_, {});
            const auto dropped = std::exchange(dropped_, 0);
            writes_ = true;
            lock.unlock();
            write_to_reader(lines);
            if (dropped != 0) { // after the lines that came before
                write_to_reader(line_of_log(log_level::warning,
                                            std::to_string(dropped) +
                                                " lines of the log were dropped: its reader did not keep up"));
            }
            lock.lock();
            writes_ = false;
            changed_.notify_all();
        }
    }

    std::mutex mutex_;
    std::condition_variable changed_;
    std::string waiting_;
    std::size_t dropped_ = 0; ///< lines
    bool writes_ = false;
    bool has_writer_ = false;
};


output &the_output()
{
    static auto *const instance = new output;
    return *instance;
}

} // namespace


void put_out(std::string_view lines, bool is_error) noexcept
try {
    the_output().put(lines, is_error);
} catch (...) {
    // There is nowhere left to report it.
}


std::size_t burst_bytes() noexcept
{
    constexpr std::size_t of_a_file = 64 * 1024;
    return is_file() ? of_a_file : PIPE_BUF;
}


void flush_log() noexcept
try {
    the_output().flush();
} catch (...) {
}

} // namespace rollout
