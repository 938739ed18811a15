#include "worker/artifact/proven_file.hpp"

#include "worker/fs/io_failure.hpp"
#include "worker/fs/sha256.hpp"

#include <openssl/sha.h>

#include <cerrno>

#include <unistd.h>

namespace rollout {

namespace {

constexpr std::size_t piece_bytes = 1024 * 1024;

} // namespace


/// Reads as much of the piece as the file contains.
outcome proven_file::fill(std::uint64_t piece, const std::string &shown)
{
    held_ = UINT64_MAX;
    buffer_.resize(piece_bytes);
    std::size_t filled = 0;
    while (filled < piece_bytes) {
        const ssize_t size = ::pread(fd_, buffer_.data() + filled, piece_bytes - filled,
                                     static_cast<off_t>(piece * piece_bytes + filled));
        if (size < 0 && errno != EINTR) {
            return io_failure(shown + " cannot be read", errno);
        }
        if (size == 0) {
            break;
        }
        filled += size > 0 ? static_cast<std::size_t>(size) : 0;
    }
    buffer_.resize(filled);
    return outcome::ok();
}


outcome proven_file::prove(const std::string &shown, const stop_flag &stop, std::string &digest)
{
    sha256 whole;
    size_ = 0;
    pieces_.clear();
    while (!stop) {
        if (auto filled = fill(pieces_.size(), shown); !filled) {
            return filled;
        }
        if (!buffer_.empty()) {
            whole.feed(buffer_.data(), buffer_.size());
            size_ += buffer_.size();
            ::SHA256(reinterpret_cast<const unsigned char *>(buffer_.data()), buffer_.size(),
                     pieces_.emplace_back().data());
        }
        if (buffer_.size() < piece_bytes) {
            digest = whole.finish();
            return outcome::ok();
        }
    }
    return outcome::canceled();
}


outcome proven_file::read(std::uint64_t offset, const std::string &shown, std::string_view &bytes)
{
    bytes = {};
    if (offset >= size_) {
        return outcome::ok();
    }
    const std::uint64_t piece = offset / piece_bytes;
    if (piece != held_) {
        if (auto filled = fill(piece, shown); !filled) {
            return filled;
        }
        piece_digest now{};
        ::SHA256(reinterpret_cast<const unsigned char *>(buffer_.data()), buffer_.size(), now.data());
        if (now != pieces_[piece]) {
            return outcome::transient(shown + " changed after its checksum was taken");
        }
        held_ = piece;
    }
    bytes = std::string_view(buffer_.data(), buffer_.size()).substr(offset % piece_bytes);
    return outcome::ok();
}

} // namespace rollout
