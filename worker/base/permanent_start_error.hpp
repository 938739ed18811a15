// A start that fails for what does not pass by itself: whoever starts rolloutd again and again need not.
#pragma once

#include <stdexcept>

namespace rollout {

/// The exit status: EX_CONFIG of sysexits.h. conf/rolloutd.service names it.
inline constexpr int exit_permanent_error = 78;

/// With a sentence that says what a person has to mend.
struct permanent_start_error : std::runtime_error {
    using std::runtime_error::runtime_error;
};

} // namespace rollout
