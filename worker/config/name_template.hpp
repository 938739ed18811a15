// Templates such as `{model_id}__r{revision}`, from which a configuration builds a task's names and sources.
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
    const json_t *config = nullptr; ///< the task's, for `{config.NAME}`
    std::string_view part = {};     ///< for `{part}`; empty if the model has no parts
};

/// Returns a sentence if the template has an unknown placeholder or an unmatched brace; empty if it can be filled.
std::string check_template(std::string_view text);

/// Returns whether the template contains that placeholder (`revision`).
bool has_placeholder(std::string_view text, std::string_view name);

/// Fills the template with one-character values, to check whether its fixed part is valid in a name.
std::string sample_of(std::string_view text);

/// Fills a checked template. If a value is missing, or is not a string of `A-Z a-z 0-9 . _ -` that begins with a letter,
/// a digit or `_`, the result is empty and a fault points to the value (`/config/NAME`).
std::string fill_template(std::string_view text, const template_values &values, std::vector<json_fault> &faults);

} // namespace rollout
