#include "worker/os/users.hpp"

#include <cerrno>
#include <vector>

#include <pwd.h>

namespace rollout {

namespace {

constexpr std::size_t first_size = 1024;
constexpr std::size_t most_size = 1024 * 1024; ///< of one user's entry


/// `ask` calls getpwnam_r or getpwuid_r with its key.
template <typename Ask>
std::optional<machine_user> found_by(const Ask &ask)
{
    for (std::size_t size = first_size; size <= most_size; size *= 2) {
        std::vector<char> buffer(size);
        passwd entry = {};
        passwd *found = nullptr;
        const int error = ask(&entry, buffer.data(), buffer.size(), &found);
        if (error == ERANGE) {
            continue;
        }
        if (error != 0 || found == nullptr) {
            return std::nullopt;
        }
        return machine_user{found->pw_name, found->pw_uid, found->pw_gid};
    }
    return std::nullopt;
}

} // namespace


std::optional<machine_user> find_user(const std::string &name)
{
    return found_by([&name](passwd *entry, char *buffer, std::size_t size, passwd **found) {
        return ::getpwnam_r(name.c_str(), entry, buffer, size, found);
    });
}


std::optional<machine_user> find_user(uid_t uid)
{
    return found_by([uid](passwd *entry, char *buffer, std::size_t size, passwd **found) {
        return ::getpwuid_r(uid, entry, buffer, size, found);
    });
}

} // namespace rollout
