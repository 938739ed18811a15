// The routes in force, by model and part, as every gateway is to follow them: kept, and put into frames.
#pragma once

#include "common/domain/route.hpp"

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace rollout {

class published_routes {
  public:
    /// Puts a route in force that is durable since `revision`, in place of the one that its part had.
    void put(const route &to_follow, std::uint64_t revision);

    /// Those in force of a model, one for each of its parts.
    std::vector<route> of(const std::string &model_id) const;

    /// The newest route's.
    std::uint64_t revision() const noexcept { return revision_; }

    /// The frame of one change.
    static std::string change(const route &to_follow, std::uint64_t revision);

    /// The frames of all routes, in their order: what is in none of them goes from the gateway.
    std::vector<std::string> full_set() const;

    /// Where requests go by these routes.
    std::set<std::string> upstreams() const;

  private:
    std::map<std::pair<std::string, std::string>, route> routes_; ///< by model and part
    std::uint64_t revision_ = 0;
};

} // namespace rollout
