// Sends any request to the API, with rolloutctl's settings.
#pragma once

#include "ctl/api/gateway.hpp"
#include "ctl/commands/output.hpp"

#include <optional>
#include <string>

namespace rollout::ctl {

/// Prints the answer's body unchanged. `body` is JSON, or @FILE.
exit_code run_api(gateway &remote, const output &to, const std::string &method, const std::string &path,
                  const std::optional<std::string> &body);

} // namespace rollout::ctl
