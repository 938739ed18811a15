// A member that somebody wrote almost as a known one is spelled: it would pass for a parameter of the task's own, and what it was
// to say would not count.
#pragma once

#include <span>
#include <string_view>

namespace rollout {

/// The known name that `name` is a near miss of; empty where it is none, or known itself. Letters' case and `-`, `_`, `.` and
/// blanks do not count; then a near miss has the same letters in another order, or one insertion, removal or replacement of a
/// letter too many, or two where the known name has six letters or more and the first one is right (`param` is no `parts`, and
/// `force` no `source`), or, for `sha256`, it begins with `sha` and a digit.
std::string_view near_miss(std::string_view name, std::span<const std::string_view> known);

} // namespace rollout
