// Numbers in shared memory that all worker processes add to and read without a lock, each number by itself.
//
// Cores that write to one cache line in turn wait for each other. What every request adds to is therefore kept in
// stripes, each in cache lines of its own: a process adds to its own stripe, and a reader sums up all.
#pragma once

#include <atomic>
#include <cstddef>
#include <type_traits>

namespace rollout {

inline constexpr std::size_t cache_line_bytes = 64;

/// Returns the bytes rounded up to whole cache lines.
constexpr std::size_t whole_lines(std::size_t bytes) noexcept
{
    return (bytes + cache_line_bytes - 1) / cache_line_bytes * cache_line_bytes;
}

/// Processes beyond so many share stripes with others.
inline constexpr std::size_t max_stripes = 16;

inline constexpr auto relaxed = std::memory_order_relaxed;

template <class T>
void add(T &to, std::type_identity_t<T> more) noexcept
{
    std::atomic_ref(to).fetch_add(more, relaxed);
}

template <class T>
T peek(const T &from) noexcept
{
    return std::atomic_ref(const_cast<T &>(from)).load(relaxed);
}

/// Sets a number that hardly ever changes: the cache line is written only when it does.
template <class T>
void set_if_other(T &to, std::type_identity_t<T> value) noexcept
{
    if (peek(to) != value) {
        std::atomic_ref(to).store(value, relaxed);
    }
}

} // namespace rollout
