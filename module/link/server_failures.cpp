#include "module/link/server_failures.hpp"

#include <algorithm>
#include <utility>

namespace rollout {

void server_failures::add(std::string_view model_id, std::uint64_t revision, std::string_view peer)
{
    const auto known = std::ranges::find_if(entries_, [&](const entry &earlier) {
        return earlier.revision == revision && earlier.model_id == model_id && earlier.peer == peer;
    });
    if (known != entries_.end()) {
        ++known->failures;
    } else if (entries_.size() < most) {
        entries_.push_back({std::string(model_id), revision, std::string(peer), 1});
    }
}


std::vector<server_failures::entry> server_failures::take() noexcept
{
    return std::exchange(entries_, {});
}

} // namespace rollout
