// An open file that was digested once and is read again, also out of order: each piece is held against what it was then, so that
// what is used is what the checksum was of, whatever somebody else does to the file meanwhile.
#pragma once

#include "worker/async/outcome.hpp"
#include "worker/async/thread_work.hpp"

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace rollout {

class proven_file {
  public:
    /// `fd` is open for reading, and outlives this; where it stands is neither used nor changed.
    explicit proven_file(int fd) : fd_(fd) {}

    /// Reads all of it. `digest`: its SHA-256 in lower-case hexadecimal digits. Looks at `stop` for each MiB.
    outcome prove(const std::string &shown, const stop_flag &stop, std::string &digest);

    /// The bytes from there to the end of a piece of at most a MiB, empty at the file's end; they stand until the next call, of
    /// whoever reads it. Transient where they are not what was proven.
    outcome read(std::uint64_t at, const std::string &shown, std::string_view &bytes);

    /// In bytes, as it was proven.
    std::uint64_t size() const noexcept { return size_; }

  private:
    using piece_digest = std::array<unsigned char, 32>;

    outcome fill(std::uint64_t piece, const std::string &shown);

    int fd_;
    std::uint64_t size_ = 0;
    std::vector<piece_digest> pieces_;
    std::vector<char> buffer_;        ///< a piece, at most
    std::uint64_t held_ = UINT64_MAX; ///< which
};

} // namespace rollout
