// Numbers in shared memory that all worker processes add to and read without a lock, each number by itself.
#pragma once

#include <atomic>
#include <type_traits>

namespace rollout {

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

} // namespace rollout
