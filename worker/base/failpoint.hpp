// Failpoints: named points where a test can kill rolloutd or make the operation fail. Built in only with
// -DROLLOUT_FAILPOINTS=ON; no code otherwise.
//
// A failpoint is named after the operation and the moment: "journal:save:applied", "rename:put_in:before",
// "frame:sent:routes:after", "backend:load:before". The environment says what happens:
//
//   ROLLOUT_FAILPOINT=NAME[#N][=ACTION]   the N-th time (the first) that NAME is passed, ACTION (crash) happens, once
//   ROLLOUT_FAILPOINT_TRACE=FILE          appends a line to FILE for each pass: NAME#N ACTION…, all possible actions
#pragma once

#include <initializer_list>
#include <string_view>

namespace rollout {

/// The fault that a failpoint asks its caller to cause. A crash happens in the failpoint itself.
enum class fault {
    none,
    error,     ///< from the operating system or SQLite
    transient, ///< the work fails in a way that may pass by itself
    permanent, ///< the work fails in a way that will not pass
    lost,      ///< a frame, and its connection with it; a write, to another rolloutd
};

#ifdef ROLLOUT_FAILPOINTS

/// Whether failpoints are built in, for code that only they need.
inline constexpr bool has_failpoints = true;

/// Passes the failpoint of that name (its parts, joined by colons) and returns the fault that a test asks for, one of
/// `faults`. Kills this process, like `kill -9`, if the test asks for that. May be called from any thread.
fault failpoint(std::initializer_list<std::string_view> name, std::initializer_list<fault> faults = {});

/// Returns whether something will happen when the failpoint is next passed.
bool failpoint_is_due(std::initializer_list<std::string_view> name);

/// Ends a socket's connection for both sides, as a broken connection does.
void break_connection(int socket) noexcept;

#else

inline constexpr bool has_failpoints = false;

inline fault failpoint(std::initializer_list<std::string_view>, std::initializer_list<fault> = {})
{
    return fault::none;
}

inline bool failpoint_is_due(std::initializer_list<std::string_view>)
{
    return false;
}

inline void break_connection(int) noexcept {}

#endif

} // namespace rollout
