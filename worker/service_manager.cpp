#include "worker/service_manager.hpp"

#include <algorithm>
#include <cstdint>
#include <utility>

#include <systemd/sd-daemon.h>

namespace rollout {

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
    sd_notify(0, "RELOADING=1\nSTATUS=The configuration is read again");
}


void service_manager::stopping()
{
    sd_notify(0, "STOPPING=1\nSTATUS=What is unfinished is put down for the next start");
}


void service_manager::feed_watchdog(std::chrono::milliseconds pause)
{
    sd_notify(0, "WATCHDOG=1");
    watchdog_.start(pause, [this, pause] { feed_watchdog(pause); });
}

} // namespace rollout
