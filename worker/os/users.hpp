// The users of this machine.
#pragma once

#include <optional>
#include <string>

#include <sys/types.h>

namespace rollout {

struct machine_user {
    std::string name;
    uid_t uid = 0;
    gid_t gid = 0; ///< of its own group
};

/// Asks the machine, which may ask a directory and take its time. In any thread. Empty if there is no such user, or if nobody can
/// be asked.
std::optional<machine_user> find_user(const std::string &name);
std::optional<machine_user> find_user(uid_t uid);

} // namespace rollout
