// The memory layout of a record_store, only for the files that implement it.
#pragma once

#include "module/tables/record_store.hpp"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace rollout {

inline constexpr std::size_t cell_bytes = record_store::bytes_per_cell;
inline constexpr std::size_t max_key_bytes = 288;

// Accesses to single words that change while others read: never torn, never cached in a register.

template <class T>
T load(const T &from, std::memory_order order = std::memory_order_relaxed) noexcept
{
    return std::atomic_ref<T>(const_cast<T &>(from)).load(order);
}


template <class T>
void store(T &to, T value, std::memory_order order = std::memory_order_relaxed) noexcept
{
    std::atomic_ref<T>(to).store(value, order);
}


struct record_store::bucket {
    cell_index first;
    std::uint32_t sequence; ///< odd while a writer changes records of this bucket
};

struct record_store::cell {
    cell_index next;
    unsigned char bytes[cell_bytes - sizeof(cell_index)];
};

/// A record's first cell. The key's bytes and then the value's follow it, and continue in the next cells.
struct record_store::head {
    cell_index next_cell;
    cell_index chain; ///< the next record of the bucket
    cell_index older;
    cell_index newer;
    std::uint32_t hash;
    std::uint32_t value_bytes;
    std::uint16_t key_bytes;
    age_list list;
    record_map map;
    unsigned char bytes[cell_bytes - 28];
};

struct record_store::header {
    struct map_region {
        std::uint64_t offset;
        std::uint32_t mask;
        std::uint32_t count;
    };

    struct list_ends {
        cell_index oldest;
        cell_index newest;
    };

    std::uint64_t cells_offset;
    std::uint64_t marks_offset; ///< a bit for each cell; for `repair` only
    cell_index cell_count;      ///< cell 0 is not used
    cell_index free_first;
    std::uint32_t free_count;
    std::uint32_t writing;
    std::array<map_region, record_maps> maps;
    std::array<list_ends, age_lists> lists;
};

} // namespace rollout
