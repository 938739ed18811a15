// The upstreams in a worker process's configuration, according to its hello.
#pragma once

#include "common/base/json.hpp"

#include <optional>
#include <set>
#include <string>

namespace rollout {

class upstream_names {
  public:
    /// Reads a hello; no value if it does not name them (an older release, or a gateway that can resolve any name),
    /// or if they exceed limits::known_upstreams_bytes.
    static std::optional<upstream_names> of_hello(const json_t *hello);

    /// Returns whether requests can be sent there without a resolver. Addresses, which need no name, are not checked
    /// here.
    bool has(const std::string &upstream) const;

  private:
    std::set<std::string> keys_; ///< by upstream_key
};

/// Returns a sentence that says what is missing in nginx's configuration, and what to write there.
std::string unknown_upstream_sentence(const std::string &gateway, int pid, const std::string &upstream);

} // namespace rollout
