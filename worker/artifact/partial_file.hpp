// A file that grows with a download, and the checksum of its contents.
#pragma once

#include "common/base/unique_fd.hpp"
#include "worker/async/outcome.hpp"
#include "worker/async/thread_work.hpp"
#include "worker/fs/sha256.hpp"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

namespace rollout {

class partial_file {
  public:
    explicit partial_file(std::filesystem::path path) : path_(std::move(path)) {}

    /// Opens or creates the file. With `keep`, the bytes of an earlier attempt stay, and are included in the checksum.
    outcome open(bool keep, const stop_flag &stop);

    outcome append(const char *bytes, std::size_t size);

    /// Empties it.
    outcome start_over();

    /// Returns lower-case hexadecimal digits. May be called once until the file is started over.
    std::string digest() { return digest_->finish(); }

    std::uint64_t size() const noexcept { return size_; }

    /// Returns whether the file begins with the bytes of an earlier attempt.
    bool began_earlier() const noexcept { return began_earlier_; }

    const std::filesystem::path &path() const noexcept { return path_; }

    /// Passes the open file to the caller.
    int release() noexcept { return file_.release(); }

  private:
    std::filesystem::path path_;
    unique_fd file_;
    std::optional<sha256> digest_{std::in_place};
    std::uint64_t size_ = 0;
    bool began_earlier_ = false;
};

} // namespace rollout
