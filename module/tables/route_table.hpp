// The replica of the routes in shared memory, and the choice between blue and green. Independent of URIs and of
// nginx.
#pragma once

#include "common/domain/route.hpp"
#include "module/tables/event_ring.hpp"
#include "module/tables/record_store.hpp"
#include "module/tables/route_metrics.hpp"

#include <cstdint>
#include <functional>
#include <string_view>

namespace rollout {

/// The choice for one request. The views point into the memory that `route_table::choose` got from `allocate`.
struct route_choice {
    slot which = slot::blue;
    std::uint64_t revision = 0;
    std::string_view upstream;
    std::string_view model;
    std::string_view peers; ///< a peer_list's text: the upstream's servers that have the revision; empty: all
    std::uint64_t peers_hash = 0;
    bool watched = false; ///< its result is to be counted, because a rollout is under way
    route_metrics_entry meter;
};

/// Returns the bucket that decides whether a key is in green's share. Within a rollout, a key always has the same
/// bucket, from 0 to 9,999, and green gets the buckets below the weight, so that a growing weight only ever moves
/// keys from blue to green.
unsigned routing_bucket(std::string_view key, std::string_view model_id, std::uint64_t green_revision) noexcept;

inline constexpr unsigned routing_buckets = 10000;

class route_table {
  public:
    /// `meters` provides the entries for routes that are put in force; null if nothing is to be counted. `events` is
    /// updated by a writer; null if it is not needed.
    explicit route_table(record_store &records, route_metrics *meters = nullptr,
                         event_ring *events = nullptr) noexcept
        : records_(records), meters_(meters), events_(events)
    {
    }

    struct question {
        std::string_view model_id;
        std::string_view part;
        std::string_view key; ///< empty: decide at random
        bool preview_green = false;
        unsigned chance = 0; ///< a random number below `routing_buckets`
    };

    /// Makes a choice, without a lock. `allocate` is as for record_store::read.
    record_store::found choose(const question &asked, const record_store::allocate_fn &allocate,
                               route_choice &choice) const;

    /// Returns whether the route names that revision, as blue or as green. Otherwise as `choose`.
    record_store::found holds(std::string_view model_id, std::string_view part, std::uint64_t revision,
                              const record_store::allocate_fn &allocate, bool &is_held) const;

    /// Copies a route.
    record_store::found read(std::string_view model_id, std::string_view part, route &to) const;

    /// Visits every route that exists throughout the call, in its state at some moment of it, for the state file.
    /// Takes no lock; runs in any process and thread. Returns false if a killed writer is in the way: then not all
    /// have been visited.
    [[nodiscard]] bool each(const function_ref<void(const route &)> &visit) const;

    // Writing: between the store's begin_write and end_write.

    /// Puts a route in force, or removes it if it has no target. Changes nothing if it is in force already. Returns
    /// false if the zone is full.
    bool put(const route &of);

    /// Removes the routes that `keep` rejects.
    void retain(const std::function<bool(std::string_view model_id, std::string_view part)> &keep);

    /// Releases the meters of routes that do not exist: a writer that was killed may have left some. Allocates no
    /// memory.
    void release_meters();

    std::size_t count() const noexcept { return records_.count(record_map::routes); }

  private:
    void forget(std::string_view model_id, std::string_view part);
    bool is_in_force(std::string_view key, std::initializer_list<std::string_view> parts) const;
    void note_change(std::string_view model_id, std::string_view part) noexcept;

    record_store &records_;
    route_metrics *meters_;
    event_ring *events_;
};

} // namespace rollout
