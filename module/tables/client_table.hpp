// Which requests are evidence for the gate: failures come in clumps, and the gate's bound holds for independent requests.
//
// After a failure of one client on a slot that client's further requests on that slot are left out for ten seconds, the
// good as well as the failed: one client that sends what no model can answer, sticky to green, counts once. A client that
// brings a fifth or more of the model's recent requests (a load balancer, an address that many share, a lone test client) is the
// traffic, and none of its requests is left out. Both are decided when a request comes in, so that what is left out does not depend on
// its own result.
//
// Of one process, in its own memory, without a lock. Its size is fixed: clients that have not been seen for longest give way,
// and are then as if they were new.
#pragma once

#include "module/tables/route_metrics.hpp"

#include <array>
#include <cstddef>
#include <cstdint>

namespace rollout {

class client_table {
  public:
    /// How long after a failure a client's requests are left out.
    static constexpr std::uint32_t clump_s = 10;

    /// A client whose requests are at least one in so many of the model's counts always.
    static constexpr std::uint64_t share_of_traffic = 5;

    // `model` and `client`: hashes; `now_s` from a clock that does not jump back.

    /// Counts a request in. True: it is evidence.
    bool admit(std::uint64_t model, std::uint64_t client, slot which, std::uint32_t now_s) noexcept;

    /// A request that was evidence has failed.
    void failed(std::uint64_t model, std::uint64_t client, slot which, std::uint32_t now_s) noexcept;

  private:
    static constexpr std::size_t clients = 2048;
    static constexpr std::size_t models = 256;

    /// Requests of ten seconds and the ten before.
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
