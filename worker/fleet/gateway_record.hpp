// What is in etcd about a gateway, under `l/gateways/`, without a lease: it stays until the gateway is known to route no more.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace rollout {

/// Written by the gateway's host, read by the rolloutd that leads, and by its own host after a restart.
struct gateway_record {
    std::string host;
    bool is_linked = false;
    std::int64_t since_us = 0; ///< linked or lost, in microseconds since 1970, UTC
    std::string processes;     ///< those of its nginx, as the host itself has them (os/peer_processes.hpp)

    /// The gateway follows the routes up to that revision of the journal. It does not go back, whether it is linked or not.
    std::uint64_t followed = 0;

    /// A model and one of its revisions.
    using revision_name = std::pair<std::string, std::uint64_t>;

    /// The requests in flight on revisions that the routes up to `followed` do not name, as they were counted once; no value if
    /// the gateway has not said. One that is not here has none, and gets no more.
    std::map<revision_name, std::optional<std::uint64_t>> busy;

    bool operator==(const gateway_record &) const = default;
};

std::string text_of(const gateway_record &record);

/// Nothing if the text is not a record: the gateway may then route to anything. Members that it does not know are passed
/// over: a newer rolloutd may write more.
std::optional<gateway_record> parse_gateway_record(std::string_view text);

} // namespace rollout
