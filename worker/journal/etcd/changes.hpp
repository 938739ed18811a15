// What etcd's entries and events are to the replica.
#pragma once

#include "worker/cluster/keys.hpp"
#include "worker/etcd/messages.hpp"
#include "worker/journal/sqlite/journal_replica.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace rollout::cluster {

/// Events of whole revisions, in order, read.
struct followed_changes {
    replica_changes changes; ///< of one revision of etcd's by their index
    std::int64_t up_to = 0;  ///< etcd's revision that they lead to
    std::string mark;        ///< the last value of s/rev; empty: it was not put
    std::string meta;        ///< the last value of s/meta; empty: it was not put
    bool meta_removed = false;
    std::vector<std::string> faults; ///< sentences: entries that cannot be read are left out
};

followed_changes read_events(const keys &names, const std::vector<etcd::watch_event> &events);

/// Reads the entries of a range, as if each had just been put.
followed_changes read_entries(const keys &names, const std::vector<etcd::key_value> &entries);

} // namespace rollout::cluster
