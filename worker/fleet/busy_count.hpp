// Counts the requests of one gateway in flight on several revisions.
#pragma once

#include "worker/async/completion.hpp"
#include "worker/async/outcome.hpp"
#include "worker/fleet/gateway_record.hpp"
#include "worker/gateway/local_gateways.hpp"

#include <cstddef>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace rollout {

class busy_count {
  public:
    using counts = std::map<gateway_record::revision_name, std::optional<std::uint64_t>>;

    static constexpr std::size_t most_at_a_time = 32;

    /// `on` is not empty. `own` must outlive it. `done` comes once, from the loop, with a count of each; no value of those
    /// that the gateway has not answered. It may destroy this object.
    busy_count(local_gateways &own, std::string gateway, std::vector<local_gateways::unrouted_revision> on,
               std::function<void(counts)> done);

  private:
    void ask_next();

    local_gateways &own_;
    std::string gateway_;
    std::vector<local_gateways::unrouted_revision> on_;
    completion<counts> done_;
    counts counted_;
    std::size_t asked_ = 0;
    std::vector<operation_ptr> questions_;
};

} // namespace rollout
