// Who tries first when there is no leader.
#pragma once

#include "worker/leadership/leadership.hpp"

#include <chrono>
#include <cstddef>
#include <string>
#include <vector>

namespace rollout {

struct candidate {
    std::string host;
    unsigned newest_format = 1; ///< of what is in etcd, that it writes
};

/// Returns how many candidates come before `host`, by rendezvous hashing over the hosts with the last term's token, so that
/// each host is as often the first. Those that write an older format come before the others, while hosts are upgraded one
/// by one. The last leader is the last, as it is gone most likely. A host that is not among the candidates comes after all.
std::size_t rank_of(const std::string &host, const std::vector<candidate> &all, const known_leader &last);

/// Returns how long a candidate of that rank waits before it tries: 150 ms for each before it, up to eight of them.
std::chrono::milliseconds wait_of_rank(std::size_t rank);

} // namespace rollout
