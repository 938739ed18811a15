// FNV-1a, 64 bits (Fowler, Noll and Vo; http://www.isthe.com/chongo/tech/comp/fnv/).
#pragma once

#include <cstdint>
#include <string_view>

namespace rollout {

/// Hashes the texts that are added as if they were one. Not for keys that an attacker must not be able to make collide.
class fnv1a {
  public:
    constexpr fnv1a() = default;

    /// Begins with the state changed by `seed`.
    constexpr explicit fnv1a(std::uint64_t seed) noexcept : hash_(offset ^ seed) {}

    constexpr fnv1a &add(std::string_view text) noexcept
    {
        for (const char c : text) {
            hash_ = (hash_ ^ static_cast<unsigned char>(c)) * prime;
        }
        return *this;
    }

    constexpr std::uint64_t value() const noexcept { return hash_; }

  private:
    static constexpr std::uint64_t offset = 0xcbf29ce484222325ULL;
    static constexpr std::uint64_t prime = 0x100000001b3ULL;

    std::uint64_t hash_ = offset;
};

} // namespace rollout
