#include "worker/artifact/copy_file.hpp"

#include "worker/artifact/io_failure.hpp"
#include "worker/artifact/sha256.hpp"
#include "worker/fd.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <vector>

#include <unistd.h>

namespace rollout {
namespace {

constexpr std::size_t chunk_bytes = 1024 * 1024;

outcome changed(const copy_ends &ends)
{
    return outcome::transient(ends.from_shown + " changed while it was copied");
}

outcome unreadable(const copy_ends &ends, int error)
{
    return io_failure(ends.from_shown + " cannot be read", error);
}

outcome unwritable(const copy_ends &ends, int error)
{
    return io_failure(ends.to_shown + " cannot be written", error);
}


/// Copies inside the kernel, from where both descriptors stand, until the end or until the kernel does not want to (other
/// file systems, none of its kind): `copied` counts, and what is left is for copy_by_hand.
outcome copy_in_kernel(const copy_ends &ends, const stop_flag &stop, std::uint64_t most, std::uint64_t &copied)
{
    while (copied < most) {
        if (stop) {
            return outcome::canceled();
        }
        const ssize_t size =
            ::copy_file_range(ends.from, nullptr, ends.to, nullptr,
                              static_cast<std::size_t>(std::min<std::uint64_t>(chunk_bytes, most - copied)), 0);
        if (size < 0 && errno == EINTR) {
            continue;
        }
        if (size < 0 && (errno == ENOSPC || errno == EDQUOT)) {
            return unwritable(ends, errno);
        }
        if (size <= 0) {
            return outcome::ok(); // by hand, which also finds out whose failure it is
        }
        copied += static_cast<std::uint64_t>(size);
    }
    return outcome::ok();
}


/// Copies to the end of the file, and stops soon after `most`.
outcome copy_by_hand(const copy_ends &ends, const stop_flag &stop, std::uint64_t most, std::uint64_t &copied,
                     sha256 *digest)
{
    std::vector<char> buffer(std::min<std::uint64_t>(chunk_bytes, most - copied + 1));
    while (copied <= most) {
        if (stop) {
            return outcome::canceled();
        }
        const ssize_t read = ::read(ends.from, buffer.data(), buffer.size());
        if (read < 0) {
            if (errno == EINTR) {
                continue;
            }
            return unreadable(ends, errno);
        }
        if (read == 0) {
            break;
        }
        const auto size = static_cast<std::size_t>(read);
        if (digest != nullptr) {
            digest->feed(buffer.data(), size);
        }
        if (write_all(ends.to, buffer.data(), size) < size) {
            return unwritable(ends, errno);
        }
        copied += size;
    }
    return outcome::ok();
}

} // namespace


outcome copy_file(const copy_ends &ends, const struct stat &status, const stop_flag &stop, sha256 *digest)
{
    const auto size = static_cast<std::uint64_t>(status.st_size);
    std::uint64_t copied = 0;
    if (digest == nullptr) {
        if (auto ended = copy_in_kernel(ends, stop, size, copied); !ended) {
            return ended;
        }
    }
    if (auto ended = copy_by_hand(ends, stop, size, copied, digest); !ended) {
        return ended;
    }

    return copied == size && is_unchanged(ends.from, status) ? outcome::ok() : changed(ends);
}


outcome digest_file(int fd, const std::string &shown, const stop_flag &stop, sha256 &digest)
{
    std::vector<char> buffer(chunk_bytes);
    while (!stop) {
        const ssize_t size = ::read(fd, buffer.data(), buffer.size());
        if (size == 0) {
            return outcome::ok();
        }
        if (size < 0 && errno != EINTR) {
            return io_failure(shown + " cannot be read", errno);
        }
        if (size > 0) {
            digest.feed(buffer.data(), static_cast<std::size_t>(size));
        }
    }
    return outcome::canceled();
}


bool is_unchanged(int fd, const struct stat &status) noexcept
{
    struct stat now {};
    return ::fstat(fd, &now) == 0 && now.st_size == status.st_size && now.st_mtim.tv_sec == status.st_mtim.tv_sec &&
           now.st_mtim.tv_nsec == status.st_mtim.tv_nsec;
}

} // namespace rollout
