// Requests on their way to a watched revision that have no answer yet: this process's list of them, and the timer that has
// them climb their revision's ladder (in_flight_table.hpp), so that what hangs shows before it ends.
//
// The timer runs only while there are some, and does not keep a worker process from exiting. A request that has got its first
// byte is taken off at the next look; one that ends, by who counts its result, once that is counted.
#pragma once

#include "module/tables/in_flight_table.hpp"

#include <cstdint>
#include <optional>

namespace rollout {

/// What a request on the list has in it; neither copied nor moved meanwhile.
struct waiting_request {
    waiting_request *previous = nullptr; ///< this and the next: null off the list
    waiting_request *next = nullptr;
    std::uint64_t revision_key = 0; ///< as in_flight_key makes it
    std::uint32_t ladder = in_flight_table::no_ladder;
    int rung = in_flight_table::not_on_it;
};

/// How long it has waited for its server, in milliseconds; nothing once it has its first byte.
using waited_fn = std::optional<std::uint64_t> (*)(const waiting_request &) noexcept;

/// `waited`: the same for all.
void watch_waiting(waiting_request &request, waited_fn waited) noexcept;

/// Takes it off the list and its ladder, if it is on it.
void unwatch_waiting(waiting_request &request) noexcept;

} // namespace rollout
