// `journal.etcd` of rolloutd.json: how the cluster is reached that several rolloutd share, and this one's part in it.
#pragma once

#include "worker/base/json_reader.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace rollout {

struct cluster_settings {
    std::vector<std::string> endpoints;
    std::string prefix = "/rollout/default/"; ///< of all keys
    std::string host;                         ///< this machine's name in the cluster, which no other one has
    std::string ca_file;                      ///< empty: the system's authorities
    std::string cert_file;                    ///< with `key_file`, the client's own certificate
    std::string key_file;
    std::string user; ///< with `password`; empty: none, or the certificate's CN
    std::string password;
    bool insecure = false;                  ///< plain text to other machines is allowed
    std::uint64_t lease_s = 4;              ///< how long a silent leader stays one
    std::uint64_t isolation_s = 600;        ///< how long what the gateways of a lost host may route to stays loaded
    std::uint64_t compact_s = 0;            ///< etcd's history older than that goes; 0: others see to it
    std::uint64_t quota_bytes = 2147483648; ///< of an etcd that does not say its quota; the default is etcd's own
    bool leader = true;                     ///< may lead

    bool operator==(const cluster_settings &) const = default;
};

/// Reads the object. What only the client of etcd can check, it checks (task_store.hpp).
cluster_settings read_cluster_settings(const json_t *value, const std::string &pointer,
                                       std::vector<json_fault> &faults);

} // namespace rollout
