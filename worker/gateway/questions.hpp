// What the engine asks of the gateways: how many requests are in flight, and what the requests came to. A question goes to one worker
// process of each gateway, as the shared memory knows for all of them.
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

/// Each question is answered once, from the loop; whatever comes after that is dropped. Outlives its operations.
class questions {
  public:
    using count_fn = std::function<void(std::optional<std::uint64_t>)>;
    using measured_fn = std::function<void(const gateway_control::measured &)>;

    explicit questions(clock &time) : time_(time) {}
    questions(const questions &) = delete;
    questions &operator=(const questions &) = delete;

    /// Requests in flight, over all gateways; nothing if one cannot be asked (null among `streams`), ends, or takes longer than two
    /// seconds, or if there is none.
    operation_ptr in_flight(const std::vector<session_ptr> &streams, const std::string &model_id,
                            const part_names &parts, std::uint64_t revision, count_fn done);

    /// What the requests came to, by gateway: of those that can be asked, and that answer within a second.
    operation_ptr measure(const std::vector<session_ptr> &streams, const std::string &model_id,
                          const part_names &parts, const std::vector<std::uint64_t> &revisions, measured_fn done);

    void on_counters(const session &from, const json_t *message);
    void on_measured(const session &from, const json_t *message);

    /// A link has ended: it answers no more.
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
