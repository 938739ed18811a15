// Counts, in shared memory, the results of all requests of the routed models: for the metrics, whereas the
// gate_counters are for a rollout's gate.
//
// A route has an entry from when it is put in force until it is removed; all routes for which there is no entry share
// one. Each number is incremented by itself, without a lock: a killed process leaves at most one request half
// counted.
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

/// Where a route's requests are counted for the metrics: an entry of the route_metrics, and its current owner.
struct route_metrics_entry {
    std::uint32_t index = 0;
    std::uint32_t generation = 0;
};

/// The bounds of the latency histogram's buckets, in milliseconds; latencies over the last bound have a bucket after
/// it.
inline constexpr std::array<std::uint32_t, 15> meter_bounds_ms = {1,   2,    5,    10,   20,    50,    100,  200,
                                                                  500, 1000, 2000, 5000, 10000, 30000, 60000};

class route_metrics {
  public:
    /// The least and the most useful number of entries; each takes 264 bytes, 448 for each stripe, and up to 44 lines of
    /// metrics.
    static constexpr std::size_t min_places = 8;
    static constexpr std::size_t max_places = 1024;

    static std::size_t bytes_for(std::size_t entries, std::size_t stripes) noexcept;
    static void format(void *memory, std::size_t entries, std::size_t stripes) noexcept;

    /// `process`: which of the worker processes counts, from 0.
    explicit route_metrics(void *memory, std::size_t process = 0) noexcept;

    // For a writer that holds the zone's lock.

    /// Returns the entry of that route: the one that it has already, or a new one that starts at zero.
    route_metrics_entry take(std::string_view model_id, std::string_view part) noexcept;

    void release(std::string_view model_id, std::string_view part) noexcept;

    /// Releases all entries that `keep` rejects.
    void retain(const function_ref<bool(std::string_view model_id, std::string_view part)> &keep);

    // For any process, at any time.

    /// Counts a request that ended with that HTTP status, as the client saw it. If the entry belongs to another route
    /// by now, the request is counted among those without an entry.
    void count(route_metrics_entry where, slot which, unsigned status, std::uint64_t latency_ms) noexcept;

    /// Counts one of the route's inferences for `last_minute`; `now_s` is from a clock that does not jump back. Does
    /// nothing if the entry belongs to another route by now.
    void count_inference(route_metrics_entry where, std::uint32_t now_s) noexcept;

    /// Returns the route's inferences in the last minute, to a precision of ten seconds; nothing if the route has no
    /// entry of its own.
    std::optional<std::uint64_t> last_minute(std::string_view model_id, std::string_view part,
                                             std::uint32_t now_s) const noexcept;

    struct slot_reading {
        std::array<std::uint64_t, 5> by_class{}; ///< 1xx to 5xx
        std::array<std::uint64_t, meter_bounds_ms.size() + 1> buckets{};
        std::uint64_t sum_ms = 0;

        bool any() const noexcept;

        /// Adds what a reading in shared memory holds now.
        void add_from(const slot_reading &shared) noexcept;
    };

    struct reading {
        std::string model_id; ///< empty: the entry of all routes without their own
        std::string part;
        std::array<slot_reading, 2> slots; ///< indexed by `slot`
    };

    /// Returns how many entries there are, taken or not.
    std::size_t entries() const noexcept;

    /// Returns the taken ones among `count` entries, from the entry `first` on.
    std::vector<reading> read(std::size_t first, std::size_t count) const;

  private:
    static constexpr std::size_t probes = 16; ///< entries that are searched for a route, starting at its hash

    struct header;
    struct entry;
    struct entry_counts;

    template <class Visit>
    entry *probe(std::string_view model_id, std::string_view part, Visit visit) const noexcept;

    entry_counts &counts(std::size_t entry, std::size_t stripe) const noexcept;
    void to_zero(std::size_t entry) noexcept;
    bool is_of(route_metrics_entry where) const noexcept;

    header *header_;
    entry *entries_; ///< the first one is for all routes without their own
    entry_counts *counts_;
    std::size_t stripe_; ///< that of this process
};

} // namespace rollout
