// The users of this machine.
#pragma once

#include <optional>
#include <string>

#include <sys/types.h>

namespace rollout {

struct machine_user {
    std::string name;
    uid_t uid = 0;
    gid_t gid = 0; ///< of its primary group
};

/// Finds a user in the machine's database, which may ask a directory service and take a while. May be called from any
/// thread. Empty if there is no such user, or if the database cannot be read.
std::optional<machine_user> find_user(const std::string &name);
std::optional<machine_user> find_user(uid_t uid);

} // namespace rollout
