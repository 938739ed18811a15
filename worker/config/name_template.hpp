// `{model_id}__r{revision}`: the names and sources that a configuration makes of a task.
#pragma once

#include "worker/base/json_reader.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace rollout {

struct template_values {
    std::string_view model_id;
    std::uint64_t revision = 0;
    const json_t *config = nullptr; ///< of the task, for `{config.NAME}`
    std::string_view part = {};     ///< for `{part}`; empty where the model has none
};

/// A sentence for a placeholder that there is not, or a brace that stands alone; empty when the template can be filled.
std::string check_template(std::string_view text);

/// Does the template hold that placeholder (`revision`)?
bool has_placeholder(std::string_view text, std::string_view name);

/// What it makes for one of the shortest names there are: to see whether the rest of it is fit to be one.
std::string sample_of(std::string_view text);

/// Fills a checked template. Where a value is missing, or is no string of `A-Z a-z 0-9 . _ -` that begins with none of
/// `. -`, the result is empty, and a fault points to it (`/config/NAME`).
std::string fill_template(std::string_view text, const template_values &values, std::vector<json_fault> &faults);

} // namespace rollout
