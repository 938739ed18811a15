#include "worker/fs/copy_file.hpp"

#include "common/base/unique_fd.hpp"
#include "worker/fs/io_failure.hpp"
#include "worker/fs/sha256.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <future>
#include <optional>
#include <vector>

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

namespace rollout {
namespace {

constexpr std::size_t buffer_bytes = 256 * 1024;        ///< stays in a core's cache
constexpr std::uint64_t piece_bytes = 16 * 1024 * 1024; ///< copied before a stop is noticed: some ten milliseconds

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
stretch next_stretch(int fd, std::uint64_t offset, std::uint64_t size)
{
    const off_t data = ::lseek(fd, static_cast<off_t>(offset), SEEK_DATA);
    if (data < 0) {
        return errno == ENXIO ? stretch{size, size} : stretch{offset, size};
    }
    const off_t hole = ::lseek(fd, data, SEEK_HOLE);
    const auto begin = std::min(static_cast<std::uint64_t>(data), size);
    return {begin, hole < 0 ? size : std::min(std::max(static_cast<std::uint64_t>(hole), begin), size)};
}


/// Digests a file that is being written, on another thread: a checksum costs no time beside the copying if a core is free.
/// What is digested is what the copy holds, whatever becomes of its source.
class copy_digest {
  public:
    copy_digest(const copy_ends &ends, const stop_flag &stop, sha256 &digest)
        : ends_(ends), stop_(stop), digest_(digest)
    {
    }

    /// Goes on with the bytes up to `end`, which have been written.
    outcome follow(std::uint64_t end)
    {
        if (auto ended = finish(); !ended) {
            return ended;
        }
        // If no thread can be started, the C++ library does it in `finish`.
        running_ = std::async([this, end] { return read_to(end); });
        return outcome::ok();
    }

    /// Returns when all is digested.
    outcome finish() { return running_.valid() ? running_.get() : outcome::ok(); }

  private:
    outcome read_to(std::uint64_t end)
    {
        buffer_.resize(buffer_bytes);
        while (at_ < end) {
            if (stop_) {
                return outcome::canceled();
            }
            const ssize_t size = ::pread(ends_.to, buffer_.data(), std::min<std::uint64_t>(buffer_.size(), end - at_),
                                         static_cast<off_t>(at_));
            if (size < 0 && errno == EINTR) {
                continue;
            }
            if (size <= 0) {
                return io_failure(ends_.to_shown + " cannot be read", size < 0 ? errno : EIO);
            }
            digest_.feed(buffer_.data(), static_cast<std::size_t>(size));
            at_ += static_cast<std::uint64_t>(size);
        }
        return outcome::ok();
    }

    const copy_ends &ends_;
    const stop_flag &stop_;
    sha256 &digest_;
    std::uint64_t at_ = 0;
    std::vector<char> buffer_;
    std::future<outcome> running_; ///< the last member: it ends before the others
};


class copying {
  public:
    copying(const copy_ends &ends, const stop_flag &stop, copy_digest *digest)
        : ends_(ends), stop_(stop), digest_(digest)
    {
    }

    /// Copies the whole file, with its holes, up to `size`.
    outcome run(std::uint64_t size)
    {
        if (::ftruncate(ends_.to, static_cast<off_t>(size)) != 0) {
            return unwritable(ends_, errno);
        }
        for (std::uint64_t offset = 0; offset < size;) {
            stretch next = next_stretch(ends_.from, offset, size);
            offset = next.end;
            while (next.begin < next.end) {
                const stretch piece{next.begin, std::min(next.end, next.begin + piece_bytes)};
                if (auto copied = copy(piece); !copied) {
                    return copied;
                }
                next.begin = piece.end;
            }
        }
        return outcome::ok();
    }

  private:
    outcome copy(stretch piece)
    {
        const stretch whole = piece;
        if (auto copied = copy_in_kernel(piece); !copied) {
            return copied;
        }
        if (auto copied = copy_by_hand(piece); !copied) {
            return copied;
        }
        // The disk begins with it now: the sync at the end finds little left, and so do the journal's own syncs meanwhile,
        // which on some file systems wait for what other files have unwritten. It is a hint, and may fail.
        (void)::sync_file_range(ends_.to, static_cast<off_t>(whole.begin),
                                static_cast<off_t>(whole.end - whole.begin), SYNC_FILE_RANGE_WRITE);
        return digest_ == nullptr ? outcome::ok() : digest_->follow(whole.end);
    }

    /// Copies until the end, or until the kernel declines (different file systems, unsupported ones); the rest is left to
    /// copy_by_hand.
    outcome copy_in_kernel(stretch &piece)
    {
        while (piece.begin < piece.end) {
            if (stop_) {
                return outcome::canceled();
            }
            auto from = static_cast<off_t>(piece.begin);
            auto to = from;
            const auto size = ::copy_file_range(ends_.from, &from, ends_.to, &to, piece.end - piece.begin, 0);
            if (size < 0 && errno == EINTR) {
                continue;
            }
            if (size < 0 && (errno == ENOSPC || errno == EDQUOT)) {
                return unwritable(ends_, errno);
            }
            if (size <= 0) {
                return outcome::ok(); // by hand, which also determines which side fails
            }
            piece.begin += static_cast<std::uint64_t>(size);
        }
        return outcome::ok();
    }

    outcome copy_by_hand(stretch piece)
    {
        buffer_.resize(buffer_bytes);
        if (::lseek(ends_.to, static_cast<off_t>(piece.begin), SEEK_SET) < 0) {
            return unwritable(ends_, errno);
        }
        while (piece.begin < piece.end) {
            if (stop_) {
                return outcome::canceled();
            }
            const ssize_t read =
                ::pread(ends_.from, buffer_.data(), std::min<std::uint64_t>(buffer_.size(), piece.end - piece.begin),
                        static_cast<off_t>(piece.begin));
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
            if (write_all(ends_.to, buffer_.data(), size) < size) {
                return unwritable(ends_, errno);
            }
            piece.begin += size;
        }
        return outcome::ok();
    }

    const copy_ends &ends_;
    const stop_flag &stop_;
    copy_digest *digest_;
    std::vector<char> buffer_;
};


outcome copy_bytes(const copy_ends &ends, std::uint64_t size, const stop_flag &stop, copy_digest *digest)
{
    // A reflink shares the bytes until either file is written to. A hard link would remain the source itself.
    auto copied = ::ioctl(ends.to, FICLONE, ends.from) == 0 ? outcome::ok() : copying(ends, stop, digest).run(size);
    if (copied && digest != nullptr) {
        copied = digest->follow(size);
    }
    if (copied && digest != nullptr) {
        copied = digest->finish();
    }
    return copied;
}

} // namespace


outcome copy_file(const copy_ends &ends, const struct stat &status, const stop_flag &stop, sha256 *digest)
{
    std::optional<copy_digest> beside;
    if (digest != nullptr) {
        beside.emplace(ends, stop, *digest);
    }
    auto copied = copy_bytes(ends, static_cast<std::uint64_t>(status.st_size), stop, beside ? &*beside : nullptr);
    return !copied || is_unchanged(ends.from, status) ? copied : changed(ends);
}


outcome digest_file(int fd, const std::string &shown, const stop_flag &stop, sha256 &digest)
{
    std::vector<char> buffer(buffer_bytes);
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
