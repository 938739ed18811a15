// `{model_id}__r{revision}`: the names and sources that a configuration makes of a task.
#pragma once

#include "common/json.hpp"

#include <cstdint>
#include <string>
#include <string_view>

namespace rollout {

struct template_values {
    std::string_view model_id;
    std::uint64_t revision = 0;
    const json_t *config = nullptr; ///< of the task, for `{config.NAME}`
};

/// A sentence for a placeholder that there is not, or a brace that stands alone; empty when the template can be filled.
std::string check_template(std::string_view text);

/// Does the template hold that placeholder (`revision`)?
bool has_placeholder(std::string_view text, std::string_view name);

/// Fills a checked template. Where a value is missing, or is no string of `A-Z a-z 0-9 . _ -` that begins with none of
/// `. -`, the result is empty and `fault` a sentence.
std::string fill_template(std::string_view text, const template_values &values, std::string &fault);

} // namespace rollout
