#include "worker/fs/copy_file.hpp"

#include "common/base/unique_fd.hpp"
#include "worker/fs/io_failure.hpp"
#include "worker/fs/sha256.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <condition_variable>
#include <cstdint>
#include <future>
#include <mutex>
#include <optional>
#include <system_error>
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


/// Digests bytes on another thread: a checksum costs no time beside the copying if a core is free, and what is digested is
/// read once. The thread has ended when this is destroyed.
class digest_thread {
  public:
    digest_thread(sha256 &digest, const stop_flag &stop) : digest_(digest), stop_(stop)
    {
        for (auto &part : parts_) {
            part.bytes.resize(buffer_bytes);
        }
        try {
            running_ = std::async(std::launch::async, [this] { run(); });
        } catch (const std::system_error &) {
            // There are too many threads: `pass` digests.
        }
    }

    ~digest_thread()
    {
        if (running_.valid()) {
            end();
            running_.wait();
        }
    }

    digest_thread(const digest_thread &) = delete;
    digest_thread &operator=(const digest_thread &) = delete;

    /// Waits for a buffer of `buffer_bytes` to fill: if there is none, until half of them are free, as a thread that is woken
    /// for each buffer costs both threads time.
    char *buffer()
    {
        std::unique_lock lock(mutex_);
        if (passed_ - digested_ == parts_.size()) {
            changed_.wait(lock, [this] { return is_half_free() || failed_; });
        }
        return parts_[passed_ % parts_.size()].bytes.data();
    }

    /// Passes on the first bytes of the buffer, which are not changed until it is returned again.
    void pass(std::size_t size) { pass_part(size, false); }

    /// Passes on zeros.
    void pass_hole(std::uint64_t size)
    {
        buffer();
        pass_part(size, true);
    }

    /// Returns when all is digested. Throws what OpenSSL made the digest throw.
    void finish()
    {
        if (running_.valid()) {
            end();
            running_.get();
        }
    }

  private:
    struct passed_part {
        std::vector<char> bytes;
        std::uint64_t size = 0;
        bool is_hole = false;
    };

    bool is_half_free() const noexcept { return passed_ - digested_ <= parts_.size() / 2; }

    void pass_part(std::uint64_t size, bool is_hole)
    {
        passed_part &filled = parts_[passed_ % parts_.size()];
        filled.size = size;
        filled.is_hole = is_hole;
        if (!running_.valid()) {
            digest(filled);
            return;
        }
        {
            const std::scoped_lock lock(mutex_);
            ++passed_;
        }
        changed_.notify_one();
    }

    void end()
    {
        {
            const std::scoped_lock lock(mutex_);
            ended_ = true;
        }
        changed_.notify_one();
    }

    void run()
    {
        std::unique_lock lock(mutex_);
        for (;;) {
            changed_.wait(lock, [this] { return digested_ != passed_ || ended_; });
            if (digested_ == passed_) {
                return;
            }
            lock.unlock();
            try {
                digest(parts_[digested_ % parts_.size()]);
            } catch (...) {
                lock.lock();
                failed_ = true;
                changed_.notify_one();
                throw;
            }
            lock.lock();
            ++digested_;
            if (is_half_free()) {
                changed_.notify_one();
            }
        }
    }

    void digest(const passed_part &of)
    {
        static constexpr std::array<char, 65536> zeros{};
        if (!of.is_hole) {
            digest_.feed(of.bytes.data(), of.size);
            return;
        }
        for (std::uint64_t done = 0; done < of.size && !stop_;) {
            const auto size = std::min<std::uint64_t>(zeros.size(), of.size - done);
            digest_.feed(zeros.data(), size);
            done += size;
        }
    }

    sha256 &digest_;
    const stop_flag &stop_;
    std::array<passed_part, 16> parts_; ///< a ring; those from `digested_` to `passed_` belong to the thread

    std::mutex mutex_;
    std::condition_variable changed_;
    std::size_t passed_ = 0;   ///< changed by the caller
    std::size_t digested_ = 0; ///< changed by the thread
    bool ended_ = false;       ///< nothing more is passed on
    bool failed_ = false;      ///< nothing more is digested

    std::future<void> running_; ///< no value: there is no thread
};


/// Lets the disk begin with what is written, on another thread: the sync at the end finds little left, and so do the
/// journal's own syncs meanwhile, which on some file systems wait for what other files have unwritten.
class early_writes {
  public:
    explicit early_writes(int fd) : fd_(fd) {}

    /// Waits for those of the stretch before. They are a hint, and may fail.
    void begin(const stretch &written)
    {
        if (running_.valid()) {
            running_.get();
        }
        // If no thread can be started, the C++ library does it in `get`.
        running_ = std::async([fd = fd_, written] {
            (void)::sync_file_range(fd, static_cast<off_t>(written.begin),
                                    static_cast<off_t>(written.end - written.begin), SYNC_FILE_RANGE_WRITE);
        });
    }

  private:
    int fd_;
    std::future<void> running_; ///< its destructor waits
};


class copying {
  public:
    copying(const copy_ends &ends, const stop_flag &stop, digest_thread *digest)
        : ends_(ends), stop_(stop), digest_(digest), early_writes_(ends.to)
    {
    }

    /// Copies the whole file, with its holes, up to `size`.
    outcome run(std::uint64_t size)
    {
        if (::ftruncate(ends_.to, static_cast<off_t>(size)) != 0) {
            return unwritable(ends_, errno);
        }
        return each_piece(ends_.from, size, [this](const stretch &piece) {
            auto copied = digest_ == nullptr ? copy_in_kernel(piece) : copy_and_digest(piece);
            if (copied && piece.end - piece.begin == piece_bytes) {
                early_writes_.begin(piece);
            }
            return copied;
        });
    }

    /// Digests a file that is a copy already.
    outcome digest_copy(std::uint64_t size)
    {
        return each_piece(ends_.to, size, [this](const stretch &piece) {
            return each_buffer(ends_.to, piece, [this](char *, std::size_t read) {
                digest_->pass(read);
                return outcome::ok();
            });
        });
    }

  private:
    /// Calls `work` for each piece of data, and digests the holes between them.
    template <typename Work>
    outcome each_piece(int fd, std::uint64_t size, const Work &work)
    {
        for (std::uint64_t offset = 0; offset < size;) {
            stretch next = next_stretch(fd, offset, size);
            if (digest_ != nullptr && next.begin > offset) {
                digest_->pass_hole(next.begin - offset);
            }
            offset = next.end;
            while (next.begin < next.end) {
                const stretch piece{next.begin, std::min(next.end, next.begin + piece_bytes)};
                if (auto done = work(piece); !done) {
                    return done;
                }
                next.begin = piece.end;
            }
        }
        return stop_ ? outcome::canceled() : outcome::ok();
    }

    /// Copies until the end, or until the kernel declines (different file systems, unsupported ones); the rest is
    /// copied by hand.
    outcome copy_in_kernel(stretch piece)
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
                return copy_by_hand(piece); // which also determines which side fails
            }
            piece.begin += static_cast<std::uint64_t>(size);
        }
        return outcome::ok();
    }

    outcome copy_by_hand(const stretch &piece)
    {
        return each_buffer(ends_.from, piece,
                           [this](const char *bytes, std::size_t size) { return write(bytes, size); });
    }

    outcome copy_and_digest(const stretch &piece)
    {
        return each_buffer(ends_.from, piece, [this](const char *bytes, std::size_t size) {
            digest_->pass(size);
            return write(bytes, size); // while it is digested
        });
    }

    /// Reads the piece buffer by buffer, which with a digest are its own, and calls `work` for each.
    template <typename Work>
    outcome each_buffer(int fd, stretch piece, const Work &work)
    {
        if (digest_ == nullptr) {
            buffer_.resize(buffer_bytes);
        }
        if (::lseek(ends_.to, static_cast<off_t>(piece.begin), SEEK_SET) < 0) {
            return unwritable(ends_, errno);
        }
        while (piece.begin < piece.end) {
            if (stop_) {
                return outcome::canceled();
            }
            char *const buffer = digest_ == nullptr ? buffer_.data() : digest_->buffer();
            const ssize_t read = ::pread(fd, buffer, std::min<std::uint64_t>(buffer_bytes, piece.end - piece.begin),
                                         static_cast<off_t>(piece.begin));
            if (read < 0 && errno == EINTR) {
                continue;
            }
            if (read < 0) {
                return fd == ends_.to ? io_failure(ends_.to_shown + " cannot be read", errno)
                                      : unreadable(ends_, errno);
            }
            if (read == 0) {
                return changed(ends_); // the file has become shorter
            }
            if (auto done = work(buffer, static_cast<std::size_t>(read)); !done) {
                return done;
            }
            piece.begin += static_cast<std::uint64_t>(read);
        }
        return outcome::ok();
    }

    outcome write(const char *bytes, std::size_t size) const
    {
        return write_all(ends_.to, bytes, size) < size ? unwritable(ends_, errno) : outcome::ok();
    }

    const copy_ends &ends_;
    const stop_flag &stop_;
    digest_thread *digest_; ///< may be null
    std::vector<char> buffer_;
    early_writes early_writes_;
};


outcome copy_bytes(const copy_ends &ends, std::uint64_t size, const stop_flag &stop, digest_thread *digest)
{
    copying copy(ends, stop, digest);
    // A reflink shares the bytes until either file is written to. A hard link would remain the source itself.
    if (::ioctl(ends.to, FICLONE, ends.from) != 0) {
        return copy.run(size);
    }
    return digest == nullptr ? outcome::ok() : copy.digest_copy(size);
}

} // namespace


outcome copy_file(const copy_ends &ends, const struct stat &status, const stop_flag &stop, sha256 *digest)
{
    std::optional<digest_thread> beside;
    if (digest != nullptr) {
        beside.emplace(*digest, stop);
    }
    auto copied = copy_bytes(ends, static_cast<std::uint64_t>(status.st_size), stop, beside ? &*beside : nullptr);
    if (beside && copied) {
        beside->finish();
        copied = stop ? outcome::canceled() : outcome::ok(); // a hole may be digested in part
    }
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
