#include "worker/leadership/etcd/ranking.hpp"

#include "common/base/hash.hpp"

#include <algorithm>
#include <cstdint>
#include <string_view>
#include <tuple>

namespace rollout {

namespace {

constexpr std::chrono::milliseconds wait_for_each{150};
constexpr std::size_t most_waited_for = 8;

/// FNV-1a leaves the differences of short texts in its low bits (the mixer is MurmurHash3's).
std::uint64_t mixed(std::uint64_t hash)
{
    hash = (hash ^ (hash >> 33)) * 0xff51afd7ed558ccdULL;
    hash = (hash ^ (hash >> 33)) * 0xc4ceb9fe1a85ec53ULL;
    return hash ^ (hash >> 33);
}

} // namespace


std::size_t rank_of(const std::string &host, const std::vector<candidate> &all, const known_leader &last)
{
    const auto place_of = [&last](const candidate &of) {
        const auto hash = mixed(fnv1a(static_cast<std::uint64_t>(last.token)).add(of.host).value());
        return std::tuple(of.host == last.host, of.newest_format, hash, std::string_view(of.host));
    };
    const auto own = std::ranges::find(all, host, &candidate::host);
    if (own == all.end()) {
        return all.size();
    }
    return static_cast<std::size_t>(
        std::ranges::count_if(all, [&](const candidate &other) { return place_of(other) < place_of(*own); }));
}


std::chrono::milliseconds wait_of_rank(std::size_t rank)
{
    return wait_for_each * std::min(rank, most_waited_for);
}

} // namespace rollout
