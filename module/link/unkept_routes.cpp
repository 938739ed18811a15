#include "module/link/unkept_routes.hpp"

#include <algorithm>
#include <iterator>

namespace rollout {

void unkept_routes::add(std::uint64_t write, std::uint64_t revision)
{
    auto &up_to = by_write_[write];
    up_to = std::max(up_to, revision);
}


std::optional<std::uint64_t> unkept_routes::take(std::uint64_t write) noexcept
{
    const auto end = by_write_.upper_bound(write);
    if (end == by_write_.begin()) {
        return std::nullopt;
    }
    const auto revision = std::prev(end)->second;
    by_write_.erase(by_write_.begin(), end);
    return revision;
}

} // namespace rollout
