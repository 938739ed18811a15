// The routes in force, by model and part, as every gateway must follow them: stored, and formatted as frames.
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
    /// Puts a route in force, which has been durable since `revision`, in place of its part's previous one.
    void put(const route &to_follow, std::uint64_t revision);

    /// Returns a model's routes in force, one for each of its parts.
    std::vector<route> of(const std::string &model_id) const;

    /// Returns the revision of the newest route.
    std::uint64_t revision() const noexcept { return revision_; }

    /// Returns the frame of one change.
    static std::string change(const route &to_follow, std::uint64_t revision);

    /// Returns the frames of all routes, in order: the gateway removes routes that are in none of them.
    std::vector<std::string> full_set() const;

    /// Returns the upstreams that these routes lead to.
    std::set<std::string> upstreams() const;

  private:
    std::map<std::pair<std::string, std::string>, route> routes_; ///< by model and part
    std::uint64_t revision_ = 0;
};

} // namespace rollout
