// A task as a line for each change, for an output that is no terminal.
#pragma once

#include "ctl/api/task_document.hpp"

#include <string>

namespace rollout::ctl {

class task_changes {
  public:
    /// What to print of this state: `TIME MODEL SUBJECT STATE: DETAIL` without a line feed; empty if nothing that a person sees
    /// has changed since the last one.
    std::string line_of(const task_document &task);

  private:
    std::string last_;
};

} // namespace rollout::ctl
