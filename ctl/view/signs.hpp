// The signs and colors of states, the same everywhere.
#pragma once

#include "common/domain/task_status.hpp"
#include "ctl/terminal/styled_line.hpp"

#include <string_view>

namespace rollout::ctl {

inline constexpr std::string_view done_sign = "✔";
inline constexpr std::string_view failed_sign = "✘";
inline constexpr std::string_view running_sign = "●";
inline constexpr std::string_view pending_sign = "○";
inline constexpr std::string_view skipped_sign = "–";

style style_of(task_status status) noexcept;

/// Returns the sign and color of a step's state.
styled_line sign_of_step(std::string_view state);

} // namespace rollout::ctl
