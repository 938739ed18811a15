#include "worker/os/systemd.hpp"

#include <algorithm>
#include <cstdint>
#include <utility>

#include <systemd/sd-daemon.h>

namespace rollout {

namespace {

using namespace std::chrono_literals;

/// The time for a single operation of the start between two notifications; one sync of a large file is one call.
constexpr std::chrono::microseconds start_extension = 10min;

constexpr auto between_words = 1s;

} // namespace


void service_manager::starting()
{
    const auto now = std::chrono::steady_clock::now();
    if (now < next_word_) {
        return;
    }
    next_word_ = now + between_words;
    sd_notify(0, ("EXTEND_TIMEOUT_USEC=" + std::to_string(start_extension.count()) +
                  "\nSTATUS=Reading the journal, or migrating it")
                     .c_str());
}


void service_manager::ready(const std::string &status)
{
    sd_notify(0, ("READY=1\nSTATUS=" + status).c_str());
    std::uint64_t limit_us = 0;
    if (!std::exchange(watched_, true) && sd_watchdog_enabled(0, &limit_us) > 0) {
        feed_watchdog(std::chrono::milliseconds(std::max<std::uint64_t>(limit_us / 2000, 1)));
    }
}


void service_manager::reloading()
{
    sd_notify(0, "RELOADING=1\nSTATUS=Reloading the configuration");
}


void service_manager::stopping()
{
    sd_notify(0, "STOPPING=1\nSTATUS=Saving unfinished tasks for the next start");
}


void service_manager::feed_watchdog(std::chrono::milliseconds pause)
{
    sd_notify(0, "WATCHDOG=1");
    watchdog_.start(pause, [this, pause] { feed_watchdog(pause); });
}

} // namespace rollout
