#include "worker/fs/guarded_open.hpp"

#include "worker/base/paths.hpp"
#include "worker/fs/io_failure.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <memory>

#include <fcntl.h>

namespace rollout {
namespace {

struct free_release {
    void operator()(char *text) const noexcept { std::free(text); }
};

/// Returns a path by which this process can reopen an open file, whatever has become of its name.
std::string own_path(int descriptor)
{
    return "/proc/self/fd/" + std::to_string(descriptor);
}

outcome missing(int folder, const char *name, const std::string &shown)
{
    struct stat link {};
    if (::fstatat(folder, name, &link, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(link.st_mode)) {
        return outcome::permanent(shown + " is a link to something that does not exist");
    }
    return outcome::permanent(shown + " does not exist");
}

outcome refuse_kind(mode_t mode, const std::string &shown)
{
    const char *kind = S_ISFIFO(mode) ? "a FIFO" : S_ISSOCK(mode) ? "a socket" : "a device";
    return outcome::permanent(shown + " is " + kind + ": only files and folders can be fetched");
}

} // namespace


allowed_area::allowed_area(const std::vector<std::string> &paths)
{
    for (const std::string &path : paths) {
        if (const std::unique_ptr<char, free_release> real(::realpath(path.c_str(), nullptr)); real) {
            real_paths_.emplace_back(real.get());
        }
    }
}


bool allowed_area::holds(std::string_view path) const noexcept
{
    return std::ranges::any_of(real_paths_, [&](const std::string &root) { return is_same_or_under(path, root); });
}


outcome open_source(int folder, const char *name, const allowed_area &area, const std::string &shown,
                    opened_source &into)
{
    // O_PATH finds the file without opening it; it is then checked and opened by its descriptor, not by its name.
    const unique_fd found(::openat(folder, name, O_PATH | O_CLOEXEC));
    if (!found) {
        const int error = errno;
        switch (error) {
        case ENOENT:
        case ENOTDIR:
            return missing(folder, name, shown);
        case ELOOP:
            return outcome::permanent(shown + " is a symbolic link to itself");
        default:
            return io_failure(shown + " cannot be opened", error);
        }
    }

    std::array<char, PATH_MAX> place{};
    const ssize_t size = ::readlink(own_path(found.get()).c_str(), place.data(), place.size());
    if (size < 0 || static_cast<std::size_t>(size) == place.size()) {
        return outcome::permanent(shown + " cannot be resolved (is /proc mounted?)");
    }
    if (!area.holds(std::string_view(place.data(), static_cast<std::size_t>(size)))) {
        return outcome::permanent(shown + " leads out of the allowed folders through a link (artifacts.allow)");
    }

    if (::fstat(found.get(), &into.status) != 0) {
        return io_failure(shown + " cannot be looked at", errno);
    }
    if (!S_ISREG(into.status.st_mode) && !S_ISDIR(into.status.st_mode)) {
        return refuse_kind(into.status.st_mode, shown);
    }
    into.fd.reset(::open(own_path(found.get()).c_str(),
                         O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC | (into.is_folder() ? O_DIRECTORY : 0)));
    if (!into.fd) {
        return io_failure(shown + " cannot be read", errno);
    }
    return outcome::ok();
}

} // namespace rollout
