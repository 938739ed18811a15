// Memory that begins with a cache line, as that of a zone's tables does.
#pragma once

#include "common/base/function_ref.hpp"
#include "module/tables/shared_counter.hpp"

#include <cstddef>
#include <cstring>
#include <set>
#include <vector>

class line_memory {
  public:
    /// At least that many bytes, which have held something else before.
    explicit line_memory(std::size_t bytes) : lines_(bytes / sizeof(line) + 1)
    {
        std::memset(lines_.data(), 0xA5, lines_.size() * sizeof(line));
    }

    void *get() const { return const_cast<line *>(lines_.data()); }

    /// Returns the numbers of the cache lines whose bytes are other ones after the call.
    std::set<std::size_t> lines_written(const rollout::function_ref<void()> &call) const
    {
        const auto before = lines_;
        call();
        std::set<std::size_t> written;
        for (std::size_t i = 0; i < lines_.size(); ++i) {
            if (std::memcmp(&lines_[i], &before[i], sizeof(line)) != 0) {
                written.insert(i);
            }
        }
        return written;
    }

  private:
    struct alignas(rollout::cache_line_bytes) line {
        std::byte bytes[rollout::cache_line_bytes];
    };

    std::vector<line> lines_;
};
