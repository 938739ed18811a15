// The gateways of a host as a test lets them be.
#pragma once

#include "worker/async/clock.hpp"
#include "worker/fleet/gateway_record.hpp"
#include "worker/gateway/local_gateways.hpp"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

class fake_local_gateways final : public rollout::local_gateways {
  public:
    explicit fake_local_gateways(rollout::clock &time) : time_(time) {}

    std::vector<gateway_state> all;
    position here;
    std::vector<unrouted_revision> out;          ///< of the traffic
    std::map<std::string, std::uint64_t> routed; ///< by model
    std::map<rollout::gateway_record::revision_name, std::optional<std::uint64_t>>
        requests; ///< in flight; 0 if not here
    int questions = 0;
    std::vector<std::string> added; ///< as lost

    gateway_state &link(const std::string &id)
    {
        all.push_back({id, true, time_.wall_us(), 0, "of " + id});
        return all.back();
    }

    gateway_state &of(const std::string &id) { return *std::ranges::find(all, id, &gateway_state::id); }

    void forget(const std::string &id)
    {
        std::erase_if(all, [&id](const auto &known) { return known.id == id; });
    }

    /// A route of that model has changed, and does not name the revision any more.
    void unroute(const std::string &model_id, std::uint64_t revision, std::uint64_t at)
    {
        routed[model_id] = at;
        for (auto &known : out) {
            known.routed_at = known.model_id == model_id ? at : known.routed_at;
        }
        out.push_back({model_id, revision, {""}, at});
        here = {at, at, at + 10};
    }

    std::vector<gateway_state> gateways() const override { return all; }
    bool knows(const std::string &gateway) const override
    {
        return std::ranges::find(all, gateway, &gateway_state::id) != all.end();
    }
    position where() const override { return here; }
    std::vector<unrouted_revision> unrouted() const override { return out; }
    std::uint64_t routed_at(const std::string &model_id) const override
    {
        const auto known = routed.find(model_id);
        return known == routed.end() ? 0 : known->second;
    }
    std::uint64_t change_up_to(std::uint64_t revision) const override
    {
        std::uint64_t newest = 0;
        for (const auto &[_, at] : routed) {
            newest = at <= revision ? std::max(newest, at) : newest;
        }
        return here.seen < revision ? revision : newest;
    }
    rollout::operation_ptr in_flight_at(const std::string &, const unrouted_revision &on,
                                        std::function<void(std::optional<std::uint64_t>)> done) override
    {
        ++questions;
        return time_.after(std::chrono::milliseconds(1), [this, name = std::pair(on.model_id, on.revision), done] {
            const auto known = requests.find(name);
            done(known == requests.end() ? 0 : known->second);
        });
    }
    void add_lost(const std::vector<rollout::known_gateway> &lost) override
    {
        for (const auto &[id, processes] : lost) {
            if (!knows(id)) {
                added.push_back(id + ' ' + processes);
                all.push_back({id, false, time_.wall_us(), 0, processes});
            }
        }
    }

  private:
    rollout::clock &time_;
};
