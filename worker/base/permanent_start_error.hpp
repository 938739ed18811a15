// A start that fails for a reason that will not pass: restarting rolloutd again and again does not help.
#pragma once

#include <stdexcept>

namespace rollout {

/// The exit status, EX_CONFIG of sysexits.h. conf/rolloutd.service refers to it.
inline constexpr int exit_permanent_error = 78;

/// Its text says what a person has to fix.
struct permanent_start_error : std::runtime_error {
    using std::runtime_error::runtime_error;
};

} // namespace rollout
