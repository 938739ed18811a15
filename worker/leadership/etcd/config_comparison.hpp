// Whether the hosts of a cluster have the same configuration, as far as they must.
#pragma once

#include "worker/async/clock.hpp"
#include "worker/async/outcome.hpp"
#include "worker/cluster/keys.hpp"
#include "worker/etcd/calls.hpp"

#include <chrono>
#include <map>
#include <string>
#include <string_view>

namespace rollout {

/// Returns the names of the parts that differ in two digests as host_record has them (`limits:1f limits:2e`), as `limits and
/// models`; empty if none does, or if either digest is empty: an older rolloutd has none.
std::string differing_parts(std::string_view one, std::string_view other);

/// Reads the records of the hosts each minute, and sooner if asked to. The host that leads compares all others with itself,
/// every other one itself with the leader. A difference is logged when it is found, when it becomes another one, and when it
/// is over. Runs on the loop's thread.
class config_comparison {
  public:
    static constexpr std::chrono::milliseconds longest_pause = std::chrono::minutes(1);
    static constexpr std::chrono::milliseconds least_pause =
        std::chrono::seconds(1); ///< before a read that was asked for

    /// `asked` and `time` must outlive it.
    config_comparison(etcd::calls &asked, clock &time, cluster::keys names, std::string host);

    /// This host's own digest, from the start and after a reload.
    void use(std::string digest);

    /// Who leads; empty: nobody does, and nothing is compared.
    void follow(const std::string &leader);

    /// A host's record may have changed.
    void poll();

  private:
    void read();
    void take(const etcd::range_answer &got);
    void compare(const std::string &with, const std::string &parts);

    etcd::calls &asked_;
    clock &time_;
    cluster::keys names_;
    std::string host_;
    std::string digest_;
    std::string leader_;
    std::map<std::string, std::string> differing_; ///< what was logged last of a host, by its name
    bool read_again_ = false;
    operation_ptr reading_;
    operation_ptr pause_;
};

} // namespace rollout
