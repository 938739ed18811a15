// Memory as nginx's zone would give it, formatted as a record_store, and reads whose answer is a C++ string.
#pragma once

#include "module/tables/record_store.hpp"

#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>

/// A block that holds what a process before may have left in it.
class table_memory {
  public:
    explicit table_memory(std::size_t bytes = rollout::record_store::min_bytes)
        : block_(static_cast<unsigned char *>(std::aligned_alloc(64, bytes)), &std::free), bytes_(bytes)
    {
        std::memset(block_.get(), 0xA5, bytes_);
        rollout::record_store::format(block_.get(), bytes_);
    }

    void *get() const noexcept { return block_.get(); }
    std::size_t bytes() const noexcept { return bytes_; }

  private:
    std::unique_ptr<unsigned char, decltype(&std::free)> block_;
    std::size_t bytes_;
};

constexpr char no_record[] = "(no such record)";
constexpr char busy_bucket[] = "(busy)";

/// A record's value, or one of the two words above.
inline std::string value_of(const rollout::record_store &store, rollout::record_map map, std::string_view key)
{
    std::string value;
    const auto found = store.read(map, key, [&value](std::size_t size) {
        value.assign(size, '?');
        return reinterpret_cast<unsigned char *>(value.data());
    });
    switch (found) {
    case rollout::record_store::found::yes:
        return value;
    case rollout::record_store::found::no:
        return no_record;
    case rollout::record_store::found::busy:
        return busy_bucket;
    case rollout::record_store::found::failed:
        break;
    }
    return "(nothing)";
}

inline std::string oldest_of(const rollout::record_store &store, rollout::age_list list)
{
    char buffer[288];
    return std::string(store.oldest(list, buffer));
}
