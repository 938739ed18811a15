// An incremental SHA-256.
#pragma once

#include "worker/async/outcome.hpp"

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

namespace rollout {

/// Returns whether the text is 64 hexadecimal digits.
bool is_sha256(std::string_view text) noexcept;

/// Fails permanently if a source's digest is not the wanted one, ignoring case. `shown` names the source.
outcome check_sha256(const std::string &shown, const std::string &is, const std::string &wanted);

class sha256 {
  public:
    /// Throws std::runtime_error if the system's OpenSSL has no SHA-256.
    sha256();
    ~sha256();
    sha256(const sha256 &) = delete;
    sha256 &operator=(const sha256 &) = delete;

    void feed(const void *bytes, std::size_t size);

    /// Returns lower-case hexadecimal digits. May be called once.
    std::string finish();

  private:
    struct context;
    std::unique_ptr<context> context_;
};

} // namespace rollout
