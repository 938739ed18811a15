// The settings of a rollout: `rollout` of the configuration, and a task's own on top of it.
#pragma once

#include "worker/base/json_reader.hpp"
#include "worker/config/hook_settings.hpp"

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace rollout {

/// The upper bounds of times: each has one of the two.
inline constexpr std::uint64_t day_s = 86400;
inline constexpr std::uint64_t year_s = 366 * day_s;

/// One weight of a shift and how long it is held.
struct shift_step {
    unsigned weight = 100;
    std::uint64_t hold_s = 0;
};

/// `rollout.gate`; a limit that is not set is not checked.
struct gate_settings {
    std::uint64_t min_requests = 1; ///< of green, before a hold can succeed
    double false_alarm = 0.01; ///< the chance, over a whole rollout, that a green within its limits is rolled back
    bool absolute_unless_blue = false; ///< a limit that blue breaks as well is left to the ratios
    std::string latency = "total";     ///< or `first_byte`: what the latency limits measure
    std::optional<double> max_error_rate;
    std::optional<double> max_p99_ms;
    std::optional<double> max_mean_ms;
    std::optional<double> max_error_ratio_to_blue;
    std::optional<double> max_p99_ratio_to_blue;
    std::optional<double> max_mean_ratio_to_blue;
};

struct gate_limit {
    const char *name; ///< of the member
    std::optional<double> gate_settings::*limit;
    double most; ///< the highest value allowed
};

inline constexpr gate_limit gate_limits[] = {
    {"max_error_rate", &gate_settings::max_error_rate, 1},
    {"max_p99_ms", &gate_settings::max_p99_ms, 1e9},
    {"max_mean_ms", &gate_settings::max_mean_ms, 1e9},
    {"max_error_ratio_to_blue", &gate_settings::max_error_ratio_to_blue, 1e9},
    {"max_p99_ratio_to_blue", &gate_settings::max_p99_ratio_to_blue, 1e9},
    {"max_mean_ratio_to_blue", &gate_settings::max_mean_ratio_to_blue, 1e9},
};

/// The settings of a rollout: `rollout` of the configuration, and a task's own on top of it.
struct rollout_settings {
    std::uint64_t ready_timeout_s = 600;
    std::shared_ptr<const json_t> smoke_request; ///< null: no smoke test
    std::uint64_t smoke_timeout_s = 30;
    std::uint64_t smoke_repeat = 1;
    std::vector<shift_step> steps = {shift_step{}};
    std::optional<gate_settings> gate;
    std::string promote = "auto";            ///< or `manual`: at the last weight a client must promote it
    std::uint64_t watch_s = 0;               ///< how long the old blue stays loaded after the promotion
    std::uint64_t progress_deadline_s = 600; ///< how long a hold waits for `min_requests`
    std::string on_no_traffic = "fail";      ///< or `promote`
    std::string old = "delete";              ///< what happens to the old blue: `delete`, `archive` or `keep`
    std::uint64_t keep_revisions = 2; ///< per model, archived and kept together; the oldest beyond it are removed
    std::uint64_t drain_s = 30;
    bool supersede = false; ///< a deployment cancels those of the same model that still wait
    std::map<std::string, std::vector<hook_settings>> hooks; ///< by `before_stage` etc.; only the operator sets them
};

/// Checks that the holds and the watch together can end within limits.time_limit_s. Reports only members of `given`, the
/// object at `pointer`.
void check_times(const rollout_settings &of, const json_t *given, const std::string &pointer, std::uint64_t limit_s,
                 std::vector<json_fault> &faults);

/// Reads the members of `rollout` over the values in `to`, for the configuration and for a task.
void read_rollout(const json_t *from, const std::string &pointer, rollout_settings &to,
                  std::vector<json_fault> &faults, std::vector<std::string> &warnings);

} // namespace rollout
