// Asks the gateway periodically whether its rolloutd is linked (`GET /readyz`), in parallel with other requests.
#pragma once

#include "ctl/api/http_client.hpp"

#include <chrono>
#include <memory>
#include <optional>

namespace rollout::ctl {

class readiness_probe {
  public:
    /// `client` must outlive it.
    explicit readiness_probe(http_client &client) : client_(client) {}

    /// Returns the last answer, and asks again when it is time. Nothing if the gateway has no such route, or does not
    /// answer.
    std::optional<bool> poll();

  private:
    using clock = std::chrono::steady_clock;

    http_client &client_;
    std::unique_ptr<http_exchange> asked_;
    clock::time_point next_{};
    std::optional<bool> is_ready_;
};

} // namespace rollout::ctl
