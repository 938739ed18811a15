// What the gate has seen of a rollout, look by look, and what happened meanwhile: the data of a plot.
#pragma once

#include "common/base/json.hpp"
#include "common/domain/traffic_counters.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace rollout {

/// What one revision's requests came to in the time of a point. Without requests the latencies are zero.
struct slot_point {
    std::uint64_t requests = 0;
    std::uint64_t failures = 0;
    std::uint64_t client_errors = 0;
    double p50_ms = 0;
    double p99_ms = 0;
};

/// `by_first_byte`: the latencies are those to the first byte.
slot_point slot_point_of(const traffic_counters &grown, bool by_first_byte) noexcept;

/// One look of the gate, or several that have become one point.
struct series_point {
    std::int64_t at_s = 0; ///< of the last look, since 1970, UTC
    unsigned weight = 0;   ///< green's share of the traffic, percent
    unsigned looks = 1;
    slot_point blue{};
    slot_point green{};
};

enum class mark_kind : std::uint8_t { weight, pause, resume, promote, verdict, promoted, end };

std::string_view mark_name(mark_kind what) noexcept;

struct series_mark {
    std::int64_t at_us = 0; ///< since 1970, UTC
    mark_kind what = mark_kind::weight;
    std::string detail;
};

/// Holds a bounded number of points: when it is full, neighbours become one, so that a rollout of any length fits.
class rollout_series {
  public:
    static constexpr std::size_t most_points = 600;
    static constexpr std::size_t most_marks = 200;

    /// Adds a look. It joins the last point if that covers fewer looks than the period.
    void add(series_point look);

    /// Adds a mark; if there are too many, the oldest goes.
    void mark(series_mark what);

    /// Sets the gate's limits, an object with a member for each; null: nothing judges the traffic.
    void set_limits(std::shared_ptr<const json_t> limits) { limits_ = std::move(limits); }

    /// Adds all of a later series.
    void append(const rollout_series &later);

    bool empty() const noexcept { return points_.empty() && marks_.empty(); }
    const std::vector<series_point> &points() const noexcept { return points_; }
    const std::vector<series_mark> &marks() const noexcept { return marks_; }

    /// Returns how many looks, which are a second apart, a point stands for, at most.
    unsigned period() const noexcept { return period_; }

    /// Returns the document of the API as JSON text; the journal keeps the same.
    std::string document(std::string_view task_id, std::string_view model_id) const;

    /// Restores a series from its document; nothing if it is not one.
    static std::optional<rollout_series> from_document(const json_t *document);

  private:
    void merge_neighbours(bool any);

    std::vector<series_point> points_;
    std::vector<series_mark> marks_;
    unsigned period_ = 1;
    std::shared_ptr<const json_t> limits_;
};

} // namespace rollout
