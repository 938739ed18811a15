// The replica of the routes in shared memory, and the choice between blue and green. Knows nothing of URIs or of nginx.
#pragma once

#include "common/domain/route.hpp"
#include "module/tables/record_store.hpp"
#include "module/tables/route_metrics.hpp"

#include <cstdint>
#include <functional>
#include <string_view>

namespace rollout {

/// One request's way. The views point into the memory that `route_table::choose` was given.
struct route_choice {
    slot which = slot::blue;
    std::uint64_t revision = 0;
    std::string_view upstream;
    std::string_view model;
    std::string_view peers; ///< a peer_list's text: the upstream's servers that have it; empty: all
    std::uint64_t peers_hash = 0;
    bool watched = false; ///< its result is to be counted: a rollout is under way
    route_metrics_entry meter;
};

/// Green's share decided for a key: the same key has the same bucket from 0 to 9,999 in this rollout, and green takes the
/// buckets below the weight, so that a growing weight only ever moves keys from blue to green.
unsigned routing_bucket(std::string_view key, std::string_view model_id, std::uint64_t green_revision) noexcept;

inline constexpr unsigned routing_buckets = 10000;

class route_table {
  public:
    /// `meters`: where routes that are put in force get their entries; null where nothing is to be counted.
    explicit route_table(record_store &records, route_metrics *meters = nullptr) noexcept
        : records_(records), meters_(meters)
    {
    }

    struct question {
        std::string_view model_id;
        std::string_view part;
        std::string_view key; ///< empty: by chance
        bool preview_green = false;
        unsigned chance = 0; ///< a random number below `routing_buckets`
    };

    /// Without a lock. `allocate` as for record_store::read.
    record_store::found choose(const question &asked, const record_store::allocate_fn &allocate,
                               route_choice &choice) const;

    /// Whether the route names that revision, as blue or as green. As `choose`.
    record_store::found holds(std::string_view model_id, std::string_view part, std::uint64_t revision,
                              const record_store::allocate_fn &allocate, bool &is_held) const;

    /// Every route that is there all the while, each as it was or as it is now, for the state file. Without a lock, in any process and
    /// thread. False when a killed writer is in the way: then not all have been visited.
    [[nodiscard]] bool each(const function_ref<void(const route &)> &visit) const;

    // Writing: between the store's begin_write and end_write.

    /// Puts a route in force, or forgets it when it has no target. False when the zone is full.
    bool put(const route &of);

    /// Removes the routes that `keep` refuses.
    void retain(const std::function<bool(std::string_view model_id, std::string_view part)> &keep);

    /// Releases the meters of routes that are not there: a writer that was killed may have left some. Takes no memory.
    void release_meters();

    std::size_t count() const noexcept { return records_.count(record_map::routes); }

  private:
    void forget(std::string_view model_id, std::string_view part);

    record_store &records_;
    route_metrics *meters_;
};

} // namespace rollout
