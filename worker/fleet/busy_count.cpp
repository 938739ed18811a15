#include "worker/fleet/busy_count.hpp"

#include <utility>

namespace rollout {

busy_count::busy_count(local_gateways &own, std::string gateway, std::vector<local_gateways::unrouted_revision> on,
                       std::function<void(counts)> done)
    : own_(own), gateway_(std::move(gateway)), on_(std::move(on)), done_(std::move(done))
{
    while (asked_ < on_.size() && asked_ < most_at_a_time) {
        ask_next();
    }
}


void busy_count::ask_next()
{
    const auto &of = on_[asked_++];
    questions_.push_back(own_.in_flight_at(
        gateway_, of, [this, name = std::pair(of.model_id, of.revision)](std::optional<std::uint64_t> requests) {
            counted_.insert_or_assign(name, requests);
            if (asked_ < on_.size()) {
                ask_next();
            } else if (counted_.size() == on_.size()) {
                done_(std::move(counted_));
            }
        }));
}

} // namespace rollout
