// The PEM files of TLS: what is wrong with them, as far as this machine can see without asking etcd.
#pragma once

#include <cstdint>
#include <string>

namespace rollout::etcd {

struct certificate_files {
    std::string ca_file; ///< each may be empty: there is none
    std::string cert_file;
    std::string key_file;
};

/// Returns what is wrong, as `cert_file: /etc/rollout/host.pem has expired, on …`; empty if nothing is. Reads the files, which are small.
/// `wall_us`: now, in microseconds since 1970, UTC.
std::string fault_of(const certificate_files &files, std::int64_t wall_us);

} // namespace rollout::etcd
