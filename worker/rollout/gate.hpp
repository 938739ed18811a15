// The gate of one hold: decides from what the gateways counted of green and of blue over the same time whether green
// may get more traffic or must go back. It checks every second; its tests are made for that (evidence.hpp), so that a
// green within its limits is rolled back with the chance that was configured (gate_plan.hpp) and no more. No clock
// and no I/O here.
#pragma once

#include "common/base/json.hpp"
#include "common/domain/traffic_counters.hpp"
#include "worker/config/settings.hpp"
#include "worker/rollout/evidence.hpp"
#include "worker/rollout/gate_plan.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace rollout {

/// What was counted of both over the same time. Blue has no requests if green has all the traffic.
struct gate_window {
    traffic_counters green;
    traffic_counters blue;
};

struct gate_verdict {
    enum class kind {
        undecided, ///< too few requests, or some that have waited too long already: a hold does not end well
        good,
        bad,
    };

    kind is = kind::undecided;
    bool hangs = false; ///< undecided because requests have waited too long
    std::string reason; ///< a sentence without its full stop: the counts, and the limit that was exceeded
};

class gate {
  public:
    /// `baseline`: blue's counts of the last hold in which it had traffic, for a hold in which it has none.
    gate(const gate_settings &limits, const std::vector<gate_share> &shares, std::uint64_t hold_s,
         std::optional<traffic_counters> baseline);

    /// Adds what was counted since the last call; `waiting` is the current value.
    void observe(const gate_window &since_last);

    /// Returns the verdict: bad, for good, as soon as there is enough evidence, whatever the number of green's
    /// requests.
    gate_verdict verdict() const;

    /// Returns the verdict when the hold's time is over. It includes the means, for which there is no sequential
    /// test.
    gate_verdict verdict_at_end() const;

    /// Returns everything that was counted in this hold.
    const gate_window &counted() const noexcept { return counted_; }

    /// Returns the limits, with those members of the settings that are set.
    json_ptr limits_report() const;

    /// Returns the report for a task's `metadata.gate`: the weight, the counts, the limits, the evidence, the
    /// verdict. `lost_before`: requests that green failed in the holds before this one.
    json_ptr report(const gate_verdict &verdict, unsigned weight, std::uint64_t lost_before = 0) const;

  private:
    struct test {
        gate_share share;
        evidence found;
        bool decided = false;
    };

    void observe_one(test &of, const gate_window &since_last);
    bool needs_bound(gate_test which) const noexcept;
    double decides_at(const test &of) const noexcept;
    std::optional<double> limit_of(const test &of) const;
    bool blue_breaks(gate_test which) const;
    const traffic_counters &blue_to_compare() const noexcept;
    std::optional<std::size_t> slow_bucket(gate_test which, double chance) const;
    std::uint64_t overdue() const;
    std::string words_of(const test &decided) const;
    std::string could_have_seen() const;

    gate_settings limits_;
    std::optional<traffic_counters> baseline_;
    std::vector<test> tests_;
    gate_window counted_;
};

/// Formats counters: "950 requests, 3 failed (0.32 %), p99 120 ms".
std::string format_counters(const traffic_counters &of);

/// Reads blue's counts from a report, if blue had traffic then or was compared by an earlier hold's counts: a
/// baseline for later holds.
std::optional<traffic_counters> baseline_of_report(const json_t *report);

} // namespace rollout
