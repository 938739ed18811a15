#include "worker/fs/small_file.hpp"

#include "common/base/unique_fd.hpp"
#include "worker/base/format.hpp"
#include "worker/fs/io_failure.hpp"
#include "worker/fs/rename.hpp"

#include <array>
#include <cerrno>

#include <fcntl.h>
#include <sys/stat.h>

namespace rollout {

outcome read_small_file(const std::filesystem::path &path, std::string &into)
{
    const unique_fd file(::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
    struct stat status {};
    if (!file || ::fstat(file.get(), &status) != 0) {
        return io_failure(shown(path) + " cannot be read", errno);
    }
    if (!S_ISREG(status.st_mode)) {
        return outcome::permanent(shown(path) + " is not a file");
    }
    into.clear();
    std::array<char, 16384> buffer{};
    for (;;) {
        const ssize_t size = ::read(file.get(), buffer.data(), buffer.size());
        if (size < 0) {
            if (errno == EINTR) {
                continue;
            }
            return io_failure(shown(path) + " cannot be read", errno);
        }
        if (size == 0) {
            return outcome::ok();
        }
        into.append(buffer.data(), static_cast<std::size_t>(size));
        if (into.size() > largest_small_file) {
            return outcome::permanent(shown(path) + " is larger than " + format_size(largest_small_file));
        }
    }
}


outcome replace_small_file(const std::filesystem::path &path, std::string_view text)
{
    // A fixed name, so that a file left behind by a crash is found and removed the next time.
    const auto beside = path.parent_path() / ".rollout-new";
    const std::string what = shown(path) + " cannot be written";
    if (::unlink(beside.c_str()) != 0 && errno != ENOENT) {
        return io_failure(what, errno);
    }
    unique_fd file(::open(beside.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644));
    if (!file || ::fchmod(file.get(), 0644) != 0) {
        return io_failure(what, errno);
    }
    if (write_all(file.get(), text.data(), text.size()) < text.size() || ::fsync(file.get()) != 0) {
        return io_failure(what, errno);
    }
    const int error = rename_over(beside, path, "small_file");
    return error == 0 ? outcome::ok() : io_failure(what, error);
}

} // namespace rollout
