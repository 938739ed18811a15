// A task as one line per change, for an output that is not a terminal.
#pragma once

#include "ctl/api/task_document.hpp"

#include <string>

namespace rollout::ctl {

class task_changes {
  public:
    /// Returns the line to print for this state: `TIME MODEL SUBJECT STATE: DETAIL` without a line feed; empty if nothing
    /// visible to a person has changed since the last one.
    std::string line_of(const task_document &task);

  private:
    std::string last_;
};

} // namespace rollout::ctl
