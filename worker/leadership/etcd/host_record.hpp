// What is in etcd about a rolloutd, under `l/hosts/`, with the lease of its host.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace rollout {

struct host_record {
    std::string process;        ///< of this start of rolloutd: tells two that were given one host name
    std::string version;        ///< of rolloutd
    unsigned oldest_format = 1; ///< of what is in etcd, that it reads
    unsigned newest_format = 1; ///< and writes
    std::string config; ///< digests of what all hosts must have in common: `backends:… limits:…`; empty: not known
    bool candidate = true;

    bool operator==(const host_record &) const = default;
};

std::string text_of(const host_record &record);

/// Nothing if the text cannot be read. Members that it does not know are passed over: a newer rolloutd may write more.
std::optional<host_record> parse_host_record(std::string_view text);

} // namespace rollout
