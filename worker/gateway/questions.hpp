// What the engine asks the gateways: how many requests are in flight, and what results requests had. A question goes
// to one worker process of each gateway, as the shared memory has the numbers of all of them.
#pragma once

#include "worker/async/clock.hpp"
#include "worker/gateway/session.hpp"
#include "worker/rollout/gateway_control.hpp"

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace rollout {

/// Each question is answered once, from the loop; later answers are dropped. Outlives its operations.
class questions {
  public:
    using count_fn = std::function<void(std::optional<std::uint64_t>)>;
    using measured_fn = std::function<void(const gateway_control::measured &)>;

    explicit questions(clock &time) : time_(time) {}
    questions(const questions &) = delete;
    questions &operator=(const questions &) = delete;

    /// Counts the requests in flight, over all gateways; no value if there is no gateway, or if one cannot be asked
    /// (null among `streams`), ends, or takes longer than two seconds.
    operation_ptr in_flight(const std::vector<session_ptr> &streams, const std::string &model_id,
                            const part_names &parts, std::uint64_t revision, count_fn done);

    /// Measures the results of requests, by gateway: of those that can be asked and that answer within a second.
    operation_ptr measure(const std::vector<session_ptr> &streams, const std::string &model_id,
                          const part_names &parts, const std::vector<std::uint64_t> &revisions, measured_fn done);

    void on_counters(const session &from, const json_t *message);
    void on_measured(const session &from, const json_t *message);

    /// Handles the end of a link: it will not answer any more.
    void on_end(const session &which);

  private:
    class count;
    class measurement;

    clock &time_;
    std::map<std::uint64_t, count *> counts_;
    std::map<std::uint64_t, measurement *> measurements_;
    std::uint64_t last_id_ = 0;
};

} // namespace rollout
