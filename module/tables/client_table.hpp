// Decides which requests are evidence for the gate: failures come in clusters, but the gate's bound holds for
// independent requests.
//
// After a failure of a client on a slot, further requests of that client on that slot are left out for ten seconds,
// whether they succeed or fail: a single client that is sticky to green and sends requests that no model can answer
// counts once. A client that sends a fifth or more of the model's recent requests (a load balancer, a shared address,
// a lone test client) is the traffic, and none of its requests is left out. Both are decided when a request arrives,
// so that the decision does not depend on the request's own result.
//
// Each process has its own table, in its own memory, without a lock. The size is fixed: the clients that have not
// been seen for longest are replaced, and count as new when they return.
#pragma once

#include "module/tables/route_metrics.hpp"

#include <array>
#include <cstddef>
#include <cstdint>

namespace rollout {

class client_table {
  public:
    /// How long a client's requests are left out after a failure.
    static constexpr std::uint32_t clump_s = 10;

    /// A client always counts if it sends at least one in this many of the model's requests.
    static constexpr std::uint64_t share_of_traffic = 5;

    // `model` and `client` are hashes; `now_s` is from a clock that does not jump back.

    /// Counts a request when it arrives. Returns whether it is evidence.
    bool admit(std::uint64_t model, std::uint64_t client, slot which, std::uint32_t now_s) noexcept;

    /// Notes the failure of a request that was evidence.
    void failed(std::uint64_t model, std::uint64_t client, slot which, std::uint32_t now_s) noexcept;

  private:
    static constexpr std::size_t clients = 2048;
    static constexpr std::size_t models = 256;

    /// The requests of the current ten seconds and of the ten before.
    struct recent {
        std::uint32_t window = 0;
        std::uint32_t now = 0;
        std::uint32_t before = 0;

        void turn(std::uint32_t now_s) noexcept;
        std::uint64_t sum() const noexcept { return std::uint64_t{now} + before; }
    };

    struct model_entry {
        std::uint64_t model = 0;
        recent requests;
    };

    struct client_entry {
        std::uint64_t model = 0;
        std::uint64_t client = 0;
        recent requests;
        std::array<std::uint32_t, 2> clump_ends_s{}; ///< by slot
    };

    std::array<model_entry, models> models_{};
    std::array<client_entry, clients> clients_{};
};

} // namespace rollout
