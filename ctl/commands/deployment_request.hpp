// Builds the body of a POST /deploy from the command line.
#pragma once

#include "common/base/json.hpp"

#include <optional>
#include <string>
#include <vector>

namespace rollout::ctl {

struct deployment_options {
    std::string model_id = {};
    std::optional<std::string> source = {};
    std::optional<std::string> sha256 = {};
    std::optional<std::string> config = {};   ///< JSON, or @FILE
    std::vector<std::string> parameters = {}; ///< NAME=VALUE
    std::optional<std::string> steps = {};    ///< 5:30s,25:60s,100
};

/// Throws command_error (usage) with a sentence that says which option is malformed.
json_ptr make_deployment(const deployment_options &from);

/// Reads a JSON object from an argument: the text itself, or the file named after an `@`. `option` is for the message.
json_ptr read_json_argument(const std::string &argument, const std::string &option);

/// Reads `5:30s,25:60s,100`: weights, each with its hold.
json_ptr read_steps(const std::string &text);

} // namespace rollout::ctl
