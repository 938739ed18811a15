// Named places where a test lets rolloutd die, or lets what it does there fail. Built in with -DROLLOUT_FAILPOINTS=ON only;
// nothing at all otherwise.
//
// A place is named by what is done there and by when: "journal:save:applied", "rename:put_in:before", "frame:sent:routes:after",
// "backend:load:before". The environment says what happens where:
//
//   ROLLOUT_FAILPOINT=NAME[#N][=ACTION]   the N-th time that NAME is passed (the first), ACTION (crash) happens, once
//   ROLLOUT_FAILPOINT_TRACE=FILE          each time that a place is passed, FILE gets a line: NAME#N ACTION…, all that could happen
#pragma once

#include <initializer_list>
#include <string_view>

namespace rollout {

/// What a failpoint asks of the place that it is in. A crash asks nobody.
enum class fault {
    none,
    error,     ///< of the operating system, or of SQLite
    transient, ///< the work fails in a way that may pass by itself
    permanent, ///< it fails in a way that does not
    lost,      ///< a frame, and its connection with it
};

#ifdef ROLLOUT_FAILPOINTS

/// Whether they are built in, for what only they need.
inline constexpr bool has_failpoints = true;

/// Passes the place of that name (its pieces, with colons between them), where a test may ask for one of these faults. Kills
/// this process, as `kill -9` does, where a test asks for that. From any thread.
fault failpoint(std::initializer_list<std::string_view> name, std::initializer_list<fault> faults = {});

/// Whether something will happen when the place is passed now.
bool failpoint_is_due(std::initializer_list<std::string_view> name);

/// Ends a socket's connection as a broken one ends, for both sides.
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
