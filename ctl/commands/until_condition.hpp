// The condition that a command waits for: `final`, `waiting` (for a person) or `weight=25`.
#pragma once

#include "ctl/api/task_document.hpp"
#include "ctl/base/exit_code.hpp"

#include <optional>
#include <string_view>

namespace rollout::ctl {

class until_condition {
  public:
    until_condition() = default;

    /// Returns nothing if the text is malformed.
    static std::optional<until_condition> read(std::string_view text) noexcept;

    /// Returns the exit status if the wait is over; nothing if it goes on. A final task ends every wait.
    std::optional<exit_code> result_of(const task_document &task) const noexcept;

  private:
    bool person_ = false;
    std::optional<unsigned> weight_;
};

} // namespace rollout::ctl
