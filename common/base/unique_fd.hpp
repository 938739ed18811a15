// A file descriptor with ownership, and a function that writes to one.
#pragma once

#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <utility>

namespace rollout {

class unique_fd {
  public:
    unique_fd() = default;
    explicit unique_fd(int descriptor) noexcept : descriptor_(descriptor) {}
    unique_fd(unique_fd &&other) noexcept : descriptor_(other.release()) {}
    unique_fd &operator=(unique_fd &&other) noexcept
    {
        reset(other.release());
        return *this;
    }
    ~unique_fd() { reset(); }

    explicit operator bool() const noexcept { return descriptor_ >= 0; }
    int get() const noexcept { return descriptor_; }
    int release() noexcept { return std::exchange(descriptor_, -1); }

    void reset(int descriptor = -1) noexcept
    {
        if (descriptor_ >= 0) {
            ::close(descriptor_);
        }
        descriptor_ = descriptor;
    }

  private:
    int descriptor_ = -1;
};


/// Writes all bytes, across interruptions and short writes. Returns how many were written: fewer than `size` if a
/// write failed, and then `errno` says why.
inline std::size_t write_all(int fd, const char *bytes, std::size_t size) noexcept
{
    std::size_t done = 0;
    while (done < size) {
        const ssize_t written = ::write(fd, bytes + done, size - done);
        if (written < 0 && errno != EINTR) {
            break;
        }
        if (written > 0) {
            done += static_cast<std::size_t>(written);
        }
    }
    return done;
}

} // namespace rollout
