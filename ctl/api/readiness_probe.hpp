// Asks the gateway from time to time whether its rolloutd is linked (`GET /readyz`), beside what else is under way.
#pragma once

#include "ctl/api/http_client.hpp"

#include <chrono>
#include <memory>
#include <optional>

namespace rollout::ctl {

class readiness_probe {
  public:
    /// `client` outlives it.
    explicit readiness_probe(http_client &client) : client_(client) {}

    /// The last answer; asks again when it is time. Nothing if the gateway has no such route, or does not answer.
    std::optional<bool> poll();

  private:
    using clock = std::chrono::steady_clock;

    http_client &client_;
    std::unique_ptr<http_exchange> asked_;
    clock::time_point next_{};
    std::optional<bool> is_ready_;
};

} // namespace rollout::ctl
