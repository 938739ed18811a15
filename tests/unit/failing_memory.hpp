// A process whose memory can be out: for a test's only file.
#pragma once

#include <cstdlib>
#include <new>

namespace {

constexpr int unlimited = -1;
int allocations_left = unlimited; ///< before one fails

} // namespace


void *operator new(std::size_t size)
{
    if (allocations_left == 0) {
        throw std::bad_alloc();
    }
    allocations_left -= allocations_left > 0;
    void *memory = std::malloc(size);
    if (memory == nullptr) {
        throw std::bad_alloc();
    }
    return memory;
}


void operator delete(void *memory) noexcept
{
    std::free(memory);
}


void operator delete(void *memory, std::size_t) noexcept
{
    std::free(memory);
}
