// Detects members with a misspelled name: such a member would count as one of the task's own parameters, and would have
// no effect.
#pragma once

#include <span>
#include <string_view>

namespace rollout {

/// Returns the known name that `name` is a near miss of; empty if there is none, or if `name` is known itself. The known
/// ones consist of small letters and digits; in `name`, case and `-`, `_`, `.` and blanks are ignored. A near miss has
/// the same letters in another order; or differs by one inserted, removed or replaced letter, or by two if the known
/// name has at least six letters and the first one is right (`param` does not match `parts`, nor `force` `source`); or,
/// for `sha256`, begins with `sha` and a digit.
std::string_view near_miss(std::string_view name, std::span<const std::string_view> known);

} // namespace rollout
