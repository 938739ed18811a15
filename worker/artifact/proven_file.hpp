// An open file that was digested once and is then read again, in any order. Each piece is compared with its digest, so
// that the bytes used are those that the checksum covered, even if somebody else changes the file in between.
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
    /// `fd` must be open for reading and outlive this object; its offset is neither used nor changed.
    explicit proven_file(int fd) : fd_(fd) {}

    /// Reads the whole file. `digest` receives its SHA-256 in lower-case hexadecimal digits. Checks `stop` once per MiB.
    outcome prove(const std::string &shown, const stop_flag &stop, std::string &digest);

    /// Returns the bytes from `at` to the end of its piece (at most 1 MiB); empty at the end of the file. They are valid
    /// until the next call to `read` by any caller. Transient if they are not the digested bytes.
    outcome read(std::uint64_t offset, const std::string &shown, std::string_view &bytes);

    /// Returns the size in bytes when the file was digested.
    std::uint64_t size() const noexcept { return size_; }

  private:
    using piece_digest = std::array<unsigned char, 32>;

    outcome fill(std::uint64_t piece, const std::string &shown);

    int fd_;
    std::uint64_t size_ = 0;
    std::vector<piece_digest> pieces_;
    std::vector<char> buffer_;        ///< at most one piece
    std::uint64_t held_ = UINT64_MAX; ///< the piece in `buffer_`
};

} // namespace rollout
