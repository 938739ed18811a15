// Places where a test lets rolloutd die. Built in with -DROLLOUT_FAILPOINTS=ON only; nothing at all otherwise.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>

#ifdef ROLLOUT_FAILPOINTS
#include <csignal>
#include <cstdlib>
#endif

namespace rollout {

/// Kills this process, as `kill -9` does, where the environment's ROLLOUT_FAILPOINT is `name`'s pieces with colons between
/// them, as in "deploy:load:written".
inline void failpoint([[maybe_unused]] std::initializer_list<std::string_view> name)
{
#ifdef ROLLOUT_FAILPOINTS
    static const char *wanted = std::getenv("ROLLOUT_FAILPOINT");
    if (wanted == nullptr) {
        return;
    }
    std::string whole;
    for (const auto piece : name) {
        whole += (whole.empty() ? "" : ":") + std::string(piece);
    }
    if (whole == wanted) {
        std::raise(SIGKILL);
    }
#endif
}

} // namespace rollout
