// The upstreams that a worker process's configuration has, by what its hello says.
#pragma once

#include "common/base/json.hpp"

#include <optional>
#include <set>
#include <string>

namespace rollout {

class upstream_names {
  public:
    /// Reads a hello; nothing if it does not say (a release that cannot, or a gateway that finds any), or names more than
    /// limits::known_upstreams_bytes.
    static std::optional<upstream_names> of_hello(const json_t *hello);

    /// Whether requests can go there, without a resolver. An address needs no name and is not looked for here.
    bool has(const std::string &upstream) const;

  private:
    std::set<std::string> keys_; ///< by upstream_key
};

/// Says what is missing in nginx's configuration, and what to write there.
std::string unknown_upstream_sentence(const std::string &gateway, int pid, const std::string &upstream);

} // namespace rollout
