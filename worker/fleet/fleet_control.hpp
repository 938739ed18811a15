// The gateways of all hosts, for the engine of the rolloutd that leads: its own by their links, the others by their records in
// etcd.
#pragma once

#include "worker/async/clock.hpp"
#include "worker/fleet/fleet_view.hpp"
#include "worker/gateway/local_gateways.hpp"
#include "worker/rollout/gateway_control.hpp"

#include <cstdint>
#include <functional>
#include <list>
#include <optional>
#include <string>
#include <vector>

namespace rollout {

/// What a gateway is known to follow counts whether it can be reached or not, as it does not go back. Nothing is answered that
/// would let something be unloaded before the records have been read that were there when the route in question had changed.
///
/// Traffic, failures, upstreams and servers are so far those of this host's gateways.
class fleet_control final : public gateway_control {
  public:
    /// All of these outlive it, and it outlives its operations. `own` and `own_state` are this host's gateways.
    fleet_control(gateway_control &own, local_gateways &own_state, fleet_view &others, clock &time);
    fleet_control(const fleet_control &) = delete;
    fleet_control &operator=(const fleet_control &) = delete;

    /// Called when a gateway has followed further, or is no longer known. May be null.
    std::function<void()> on_progress;

    /// `own` has changed.
    void note_progress();

    /// The view has read the records, as its `on_read` says.
    void on_read(bool changed);

    void publish_peers(const std::string &model_id, std::uint64_t revision, const std::string &server_model,
                       const std::optional<std::vector<std::string>> &peers) override;
    void reset_peers() override;
    std::string missing() const override;
    operation_ptr when_followed(std::uint64_t revision, awaited whom, done_fn done) override;
    followers followers_of(std::uint64_t revision, awaited whom) const override;
    std::string routing_before(std::uint64_t revision) const override;
    operation_ptr in_flight(const std::string &model_id, const part_names &parts, std::uint64_t revision,
                            std::function<void(std::optional<std::uint64_t>)> done) override;
    std::string objection_to(const std::string &upstream) const override;
    std::vector<std::string> servers_missing_in(const std::string &upstream,
                                                const std::vector<std::string> &peers) const override;
    server_failures failures_of(const std::string &model_id, std::uint64_t revision) const override;
    operation_ptr measure(const std::string &model_id, const part_names &parts,
                          const std::vector<std::uint64_t> &revisions,
                          std::function<void(const measured &)> done) override;

  private:
    class wait;
    class count;
    using record_fn = std::function<void(const std::string &id, const fleet_view::member &)>;

    void for_each_other(const record_fn &call) const;
    bool is_followed(std::uint64_t revision, awaited whom) const;
    std::optional<std::uint64_t> in_flight_elsewhere(const std::string &model_id, std::uint64_t revision) const;
    bool is_fresh(std::uint64_t revision) const;
    void check_waits();

    gateway_control &own_;
    local_gateways &own_state_;
    fleet_view &others_;
    clock &time_;
    std::list<wait *> waits_;
    mutable bool awaits_read_ = false; ///< an answer was that the records are yet to be read
    operation_ptr recheck_;            ///< of the waits: a gateway of this host becomes unreachable by the time alone
};

} // namespace rollout
