// What all requests of the routed models came to, in shared memory: for the metrics, while the traffic table is for a
// rollout's gate.
//
// A route has an entry from when it is put in force until it goes; routes for which there is no entry share one. Each
// number is added to by itself, without a lock: a process that is killed leaves at worst one request half counted.
#pragma once

#include "common/base/function_ref.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace rollout {

enum class slot : std::uint8_t { blue, green };

std::string_view slot_name(slot which) noexcept;

/// Where a route's requests are counted for the metrics: an entry of the route_metrics, and whose it is now.
struct route_metrics_entry {
    std::uint32_t index = 0;
    std::uint32_t generation = 0;
};

/// The bounds of the latency histogram's buckets, in milliseconds; what is over the last counts behind it.
inline constexpr std::array<std::uint32_t, 15> meter_bounds_ms = {1,   2,    5,    10,   20,    50,    100,  200,
                                                                  500, 1000, 2000, 5000, 10000, 30000, 60000};

class route_metrics {
  public:
    /// The least and the most entries that make sense; each is about 700 bytes, and up to 44 lines of metrics.
    static constexpr std::size_t min_places = 8;
    static constexpr std::size_t max_places = 1024;

    static std::size_t bytes_for(std::size_t entries) noexcept;
    static void format(void *memory, std::size_t entries) noexcept;

    explicit route_metrics(void *memory) noexcept;

    // By a writer, with the zone's lock.

    /// The entry of that route, its own from before or a new one that counts from zero.
    route_metrics_entry take(std::string_view model_id, std::string_view part) noexcept;

    void release(std::string_view model_id, std::string_view part) noexcept;

    /// Releases all that `keep` refuses.
    void retain(const function_ref<bool(std::string_view model_id, std::string_view part)> &keep);

    // By any process, at any time.

    /// A request that ended with that HTTP status, as the client saw it. Where the entry has gone to another route
    /// meanwhile, it counts among those without an entry.
    void count(route_metrics_entry where, slot which, unsigned status, std::uint64_t latency_ms) noexcept;

    /// One of the route's inferences, for `last_minute`; `now_s` from a clock that does not jump back. Not where the entry
    /// has gone to another route.
    void count_inference(route_metrics_entry where, std::uint32_t now_s) noexcept;

    /// The route's inferences over the last minute, by ten seconds; nothing for a route without an entry of its own.
    std::optional<std::uint64_t> last_minute(std::string_view model_id, std::string_view part,
                                             std::uint32_t now_s) const noexcept;

    struct slot_reading {
        std::array<std::uint64_t, 5> by_class{}; ///< 1xx to 5xx
        std::array<std::uint64_t, meter_bounds_ms.size() + 1> buckets{};
        std::uint64_t sum_ms = 0;

        bool any() const noexcept;
    };

    struct reading {
        std::string model_id; ///< empty: of all routes without an entry of their own
        std::string part;
        std::array<slot_reading, 2> slots; ///< by `slot`
    };

    /// How many entries there are, taken or not.
    std::size_t entries() const noexcept;

    /// Of these entries, those that are taken: from the first of them on, so many.
    std::vector<reading> read(std::size_t first, std::size_t count) const;

  private:
    static constexpr std::size_t probes = 16; ///< where a route may stand from its hash on

    struct header;
    struct entry;

    template <class Visit>
    entry *probe(std::string_view model_id, std::string_view part, Visit visit) const noexcept;

    header *header_;
    entry *entries_; ///< the first: of all routes without one
};

} // namespace rollout
