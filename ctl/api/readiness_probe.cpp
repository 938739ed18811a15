#include "ctl/api/readiness_probe.hpp"

#include <string>
#include <utility>

namespace rollout::ctl {

namespace {

using namespace std::chrono_literals;

constexpr auto between = 3s;
constexpr auto probe_timeout = 5s;


std::optional<bool> meaning_of(const http_exchange &ended)
{
    if (!ended.fault().empty()) {
        return std::nullopt;
    }
    const http_answer &answer = ended.answer();
    if (answer.status == 200) {
        return true;
    }
    // Any answer but a gateway's own comes from another location.
    return answer.status == 503 && answer.content_type == "application/problem+json" ? std::optional(false)
                                                                                     : std::nullopt;
}

} // namespace


std::optional<bool> readiness_probe::poll()
{
    if (asked_ && asked_->ended()) {
        is_ready_ = meaning_of(*std::exchange(asked_, nullptr));
        next_ = clock::now() + between;
    }
    if (!asked_ && clock::now() >= next_) {
        asked_ = client_.begin({.path = "/readyz", .timeout = probe_timeout});
    }
    return is_ready_;
}

} // namespace rollout::ctl
