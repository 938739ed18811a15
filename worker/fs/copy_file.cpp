#include "worker/fs/copy_file.hpp"

#include "common/base/unique_fd.hpp"
#include "worker/fs/io_failure.hpp"
#include "worker/fs/sha256.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <vector>

#include <linux/fs.h>
#include <sys/ioctl.h>
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


/// A range of a file that contains data, up to the next hole.
struct stretch {
    std::uint64_t begin = 0;
    std::uint64_t end = 0;
};


/// Returns the next range from `at` on: all of the rest if the file system does not report holes; empty, at `size`, if
/// the rest is a hole.
stretch next_stretch(int fd, std::uint64_t at, std::uint64_t size)
{
    const off_t data = ::lseek(fd, static_cast<off_t>(at), SEEK_DATA);
    if (data < 0) {
        return errno == ENXIO ? stretch{size, size} : stretch{at, size};
    }
    const off_t hole = ::lseek(fd, data, SEEK_HOLE);
    const auto begin = std::min(static_cast<std::uint64_t>(data), size);
    return {begin, hole < 0 ? size : std::min(std::max(static_cast<std::uint64_t>(hole), begin), size)};
}


class copying {
  public:
    copying(const copy_ends &ends, const stop_flag &stop, sha256 *digest) : ends_(ends), stop_(stop), digest_(digest)
    {
    }

    /// Copies the whole file, with its holes, up to `size`.
    outcome run(std::uint64_t size)
    {
        std::uint64_t at = 0;
        while (at < size) {
            const stretch next = next_stretch(ends_.from, at, size);
            if (auto passed = pass_hole(next.begin - at); !passed) {
                return passed;
            }
            if (auto copied = copy(next); !copied) {
                return copied;
            }
            at = next.end;
        }
        return ::ftruncate(ends_.to, static_cast<off_t>(size)) == 0 ? outcome::ok() : unwritable(ends_, errno);
    }

  private:
    /// Skips a hole: nothing is written, and a checksum includes the zeros.
    outcome pass_hole(std::uint64_t bytes)
    {
        if (digest_ == nullptr || bytes == 0) {
            return outcome::ok();
        }
        buffer_.assign(chunk_bytes, '\0');
        while (bytes > 0) {
            if (stop_) {
                return outcome::canceled();
            }
            const auto size = std::min<std::uint64_t>(bytes, buffer_.size());
            digest_->feed(buffer_.data(), static_cast<std::size_t>(size));
            bytes -= size;
        }
        return outcome::ok();
    }

    outcome copy(stretch next)
    {
        if (digest_ == nullptr) {
            if (auto copied = copy_in_kernel(next); !copied) {
                return copied;
            }
        }
        return copy_by_hand(next);
    }

    /// Copies until the end, or until the kernel declines (different file systems, unsupported ones); the rest is left to
    /// copy_by_hand.
    outcome copy_in_kernel(stretch &next)
    {
        while (next.begin < next.end) {
            if (stop_) {
                return outcome::canceled();
            }
            auto from = static_cast<off_t>(next.begin);
            auto to = from;
            const auto size = ::copy_file_range(
                ends_.from, &from, ends_.to, &to,
                static_cast<std::size_t>(std::min<std::uint64_t>(chunk_bytes, next.end - next.begin)), 0);
            if (size < 0 && errno == EINTR) {
                continue;
            }
            if (size < 0 && (errno == ENOSPC || errno == EDQUOT)) {
                return unwritable(ends_, errno);
            }
            if (size <= 0) {
                return outcome::ok(); // by hand, which also determines which side fails
            }
            next.begin += static_cast<std::uint64_t>(size);
        }
        return outcome::ok();
    }

    outcome copy_by_hand(stretch next)
    {
        buffer_.resize(chunk_bytes);
        if (::lseek(ends_.to, static_cast<off_t>(next.begin), SEEK_SET) < 0) {
            return unwritable(ends_, errno);
        }
        while (next.begin < next.end) {
            if (stop_) {
                return outcome::canceled();
            }
            const ssize_t read =
                ::pread(ends_.from, buffer_.data(),
                        static_cast<std::size_t>(std::min<std::uint64_t>(buffer_.size(), next.end - next.begin)),
                        static_cast<off_t>(next.begin));
            if (read < 0 && errno == EINTR) {
                continue;
            }
            if (read < 0) {
                return unreadable(ends_, errno);
            }
            if (read == 0) {
                return changed(ends_); // the file has become shorter
            }
            const auto size = static_cast<std::size_t>(read);
            if (digest_ != nullptr) {
                digest_->feed(buffer_.data(), size);
            }
            if (write_all(ends_.to, buffer_.data(), size) < size) {
                return unwritable(ends_, errno);
            }
            next.begin += size;
        }
        return outcome::ok();
    }

    const copy_ends &ends_;
    const stop_flag &stop_;
    sha256 *digest_;
    std::vector<char> buffer_;
};

} // namespace


outcome copy_file(const copy_ends &ends, const struct stat &status, const stop_flag &stop, sha256 *digest)
{
    // A reflink shares the bytes until either file is written to. A hard link would remain the source itself.
    if (digest != nullptr || ::ioctl(ends.to, FICLONE, ends.from) != 0) {
        if (auto ended = copying(ends, stop, digest).run(static_cast<std::uint64_t>(status.st_size)); !ended) {
            return ended;
        }
    }
    return is_unchanged(ends.from, status) ? outcome::ok() : changed(ends);
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
    const auto same = [](const timespec &one, const timespec &other) {
        return one.tv_sec == other.tv_sec && one.tv_nsec == other.tv_nsec;
    };
    return ::fstat(fd, &now) == 0 && now.st_size == status.st_size && same(now.st_mtim, status.st_mtim) &&
           same(now.st_ctim, status.st_ctim);
}

} // namespace rollout
