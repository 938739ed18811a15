// SHA-256 of what passes by.
#pragma once

#include "worker/async/outcome.hpp"

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

namespace rollout {

/// Is it 64 hexadecimal digits?
bool is_sha256(std::string_view text) noexcept;

/// Permanent where a source's digest is not the one that is wanted. `shown` names the source; the letters' case does not
/// count.
outcome check_sha256(const std::string &shown, const std::string &is, const std::string &wanted);

class sha256 {
  public:
    /// Throws std::runtime_error where the system's OpenSSL has no SHA-256.
    sha256();
    ~sha256();
    sha256(const sha256 &) = delete;
    sha256 &operator=(const sha256 &) = delete;

    void feed(const void *bytes, std::size_t size);

    /// Lower-case hexadecimal digits; once.
    std::string finish();

  private:
    struct context;
    std::unique_ptr<context> context_;
};

} // namespace rollout
