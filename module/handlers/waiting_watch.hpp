// Requests on their way to a watched revision that have no answer yet: this process's list of them, and the timer
// that moves them up the ladder of their revision (in_flight_table.hpp), so that a request that hangs is visible
// before it ends.
//
// The timer runs only while the list is not empty, and does not keep a worker process from exiting. A request that
// has received its first byte is removed at the next check. One that ends is removed by the code that counts its
// result, after counting it.
#pragma once

#include "module/tables/in_flight_table.hpp"

#include <cstdint>
#include <optional>

namespace rollout {

/// The part of a request that is in the list; must not be copied or moved while it is.
struct waiting_request {
    waiting_request *previous = nullptr; ///< this and the next: null if not in the list
    waiting_request *next = nullptr;
    std::uint64_t revision_key = 0; ///< as in_flight_key makes it
    std::uint32_t ladder = in_flight_table::no_ladder;
    int rung = in_flight_table::not_on_it;
};

/// Returns how long the request has waited for its server, in milliseconds, or nothing once it has its first byte.
using waited_fn = std::optional<std::uint64_t> (*)(const waiting_request &) noexcept;

/// `waited` must be the same function for all requests.
void watch_waiting(waiting_request &request, waited_fn waited) noexcept;

/// Removes the request from the list and from its ladder, if it is there.
void unwatch_waiting(waiting_request &request) noexcept;

} // namespace rollout
