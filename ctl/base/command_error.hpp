// An error that ends a command: an exit status and a sentence for a person. Thrown where the cause is known, and caught
// once, in main.
#pragma once

#include "ctl/base/exit_code.hpp"

#include <stdexcept>
#include <string>

namespace rollout::ctl {

class command_error : public std::runtime_error {
  public:
    /// `sentence` says what happened, to what, and what to do. It is cleaned (text.hpp), since it may include a server's
    /// text.
    command_error(exit_code code, const std::string &sentence);

    exit_code code() const noexcept { return code_; }

  private:
    exit_code code_;
};

} // namespace rollout::ctl
