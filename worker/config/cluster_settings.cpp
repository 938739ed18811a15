#include "worker/config/cluster_settings.hpp"

#include "worker/config/rollout_settings.hpp"

#include <algorithm>
#include <array>
#include <string_view>

#include <unistd.h>

namespace rollout {

namespace {

constexpr std::size_t longest_host = 253; ///< as of a name in the DNS
constexpr std::uint64_t least_lease_s = 2;
constexpr std::uint64_t most_lease_s = 60;
constexpr std::uint64_t most_quota_bytes = 1ULL << 50;


std::string name_of_machine()
{
    std::array<char, longest_host + 2> name{};
    return gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "";
}


/// It is a part of keys.
bool is_host(std::string_view name)
{
    return !name.empty() && name.size() <= longest_host && std::ranges::all_of(name, [](unsigned char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '-' ||
               c == '_';
    });
}

} // namespace


cluster_settings read_cluster_settings(const json_t *value, const std::string &pointer,
                                       std::vector<json_fault> &faults)
{
    cluster_settings to;
    json_reader reader(value, pointer, faults);
    if (reader.array("endpoints", true) != nullptr) {
        reader.texts("endpoints", to.endpoints);
    }
    reader.text("prefix", to.prefix);
    to.host = name_of_machine();
    reader.text("host", to.host);
    if (!is_host(to.host)) {
        reader.fault("host",
                     "must be this machine's name in the cluster: letters, digits, '.', '-' and '_', at most " +
                         std::to_string(longest_host) + " characters");
    }
    for (const auto &[member, file] :
         {std::pair{"ca_file", &to.ca_file}, {"cert_file", &to.cert_file}, {"key_file", &to.key_file}}) {
        reader.text(member, *file);
        if (!file->empty() && file->front() != '/') {
            reader.fault(member, "must be an absolute path");
        }
    }
    reader.text("user", to.user);
    reader.text("password", to.password);
    reader.flag("insecure", to.insecure);
    reader.number("lease_s", to.lease_s, least_lease_s, most_lease_s);
    reader.number("isolation_s", to.isolation_s, 0, day_s);
    reader.number("compact_s", to.compact_s, 0, day_s);
    reader.number("quota_bytes", to.quota_bytes, 0, most_quota_bytes);
    reader.flag("leader", to.leader);
    reader.refuse_others();
    return to;
}

} // namespace rollout
