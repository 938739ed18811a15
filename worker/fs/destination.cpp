#include "worker/fs/destination.hpp"

#include "worker/base/format.hpp"
#include "worker/fs/io_failure.hpp"

#include <cerrno>
#include <system_error>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

namespace rollout {

namespace fs = std::filesystem;


outcome clear_destination(const fs::path &destination)
{
    std::error_code error;
    fs::remove_all(destination, error);
    if (error) {
        return io_failure(shown(destination) + " cannot be removed", error.value());
    }
    const fs::path parent = destination.parent_path();
    fs::create_directories(parent, error);
    if (error) {
        return io_failure(shown(parent) + " cannot be created", error.value());
    }
    return outcome::ok();
}


outcome find_space(const fs::path &folder, std::uint64_t &free_bytes)
{
    struct statvfs space {};
    if (::statvfs(folder.c_str(), &space) != 0) {
        return io_failure(shown(folder) + " cannot be looked at", errno);
    }
    free_bytes = static_cast<std::uint64_t>(space.f_bavail) * space.f_frsize;
    return outcome::ok();
}


outcome check_space(const fs::path &folder, std::uint64_t needed_bytes)
{
    std::uint64_t free = 0;
    if (auto found = find_space(folder, free); !found) {
        return found;
    }
    if (needed_bytes > free) {
        return outcome::permanent("the source is " + format_size(needed_bytes) + " and the file system of " +
                                  shown(folder) + " has " + format_size(free) +
                                  " free: make room there and deploy again");
    }
    return outcome::ok();
}


outcome make_folder(const fs::path &path, unique_fd &into)
{
    if (::mkdir(path.c_str(), 0755) == 0) {
        into.reset(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    }
    if (!into || ::fchmod(into.get(), 0755) != 0) {
        return io_failure(shown(path) + " cannot be created", errno);
    }
    return outcome::ok();
}

} // namespace rollout
