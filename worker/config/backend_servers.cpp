#include "worker/config/backend_servers.hpp"

#include "common/domain/limits.hpp"
#include "common/domain/upstream_name.hpp"
#include "worker/base/format.hpp"
#include "worker/config/hook_settings.hpp"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <utility>

namespace rollout {

namespace {

/// Returns the address that nginx uses for this URL.
std::string peer_of(const std::string &url)
{
    std::string peer = authority_of(url);
    if (peer.find(':', peer.rfind(']') == std::string::npos ? 0 : peer.rfind(']')) == std::string::npos) {
        peer += std::tolower(static_cast<unsigned char>(url[4])) == 's' ? ":443" : ":80";
    }
    return peer;
}


/// Reads a server's own members; those it omits are the backend's.
server_settings read_server(const json_t *value, const std::string &pointer, const backend_settings &of,
                            std::vector<json_fault> &faults)
{
    json_reader reader(value, pointer, faults);
    server_settings to;
    read_url(reader, to.url);
    reader.text("peer", to.peer);
    if (!to.peer.empty() && !is_peer(to.peer)) {
        reader.fault("peer", "must be an address of nginx's upstream block, as 10.0.0.2:8000, [fd00::2]:8000, "
                             "gpu2.example:8000 or unix:/run/triton.sock");
    }
    if (to.peer.empty() && is_web_address(to.url)) {
        to.peer = peer_of(to.url);
        if (!is_peer(to.peer)) {
            reader.fault("url", "has no host and port that nginx's upstream block could name");
        }
    }
    reader.text("repository", to.repository);
    trim_slashes(to.repository);
    reader.text("staging", to.staging);
    for (const auto &[name, path] : {std::pair{"repository", &to.repository}, std::pair{"staging", &to.staging}}) {
        if (!path->empty() && path->front() != '/') {
            reader.fault(name, "must be an absolute path");
        }
    }
    if (to.repository.empty() && of.repository.empty() && of.type != "command") {
        reader.fault("repository", "is missing, and the backend has none for all its servers");
    } else if (to.repository.empty()) {
        to.repository = of.repository;
        to.staging = to.staging.empty() ? of.staging : to.staging;
    } else if (to.staging.empty()) {
        to.staging = to.repository + ".staging";
    }
    reader.refuse_others();
    return to;
}


/// Returns whether `path` is `folder` or inside it.
bool is_inside(const std::string &path, const std::string &folder)
{
    return path == folder || (path.starts_with(folder) && path[folder.size()] == '/');
}


/// Checks what two servers must not share, and what must agree if they share a repository.
void compare_servers(const std::vector<server_settings> &all, std::size_t here, std::size_t there,
                     const std::string &pointer, std::vector<json_fault> &faults)
{
    const auto &server = all[here];
    const auto &other = all[there];
    const auto fault = [&](const char *member, const std::string &detail) {
        faults.push_back({pointer + '/' + std::to_string(here) + '/' + member, detail});
    };
    const std::string of_other = " of servers/" + std::to_string(there);
    if (!server.url.empty() && server.url == other.url) {
        fault("url", "is that" + of_other + " too: a server is named once");
        return;
    }
    if (!server.peer.empty() && upstream_key(server.peer) == upstream_key(other.peer)) {
        fault("peer", "is that" + of_other + " too (" + server.peer + "): nginx could not tell them apart");
    }
    if (server.repository.empty() || other.repository.empty()) {
        return;
    }
    if (server.repository == other.repository) {
        if (server.staging != other.staging) {
            fault("staging", "differs from that" + of_other +
                                 ", which has the same repository: what servers share is "
                                 "staged once");
        }
        return;
    }
    for (const auto *theirs : {&other.repository, &other.staging}) {
        if (is_inside(server.repository, *theirs) || is_inside(*theirs, server.repository)) {
            fault("repository", "cannot be shared in part: one of it and the " +
                                    std::string(theirs == &other.staging ? "staging folder" : "repository") +
                                    of_other + " is inside of the other (" + *theirs + ")");
            return;
        }
    }
    if (is_inside(server.staging, other.repository) || server.staging == other.staging) {
        fault("staging", "is taken: it is in the repository, or is the staging folder," + of_other);
    }
}


void read_list(json_reader &reader, backend_settings &to, std::vector<json_fault> &faults)
{
    const json_t *list = reader.array("servers");
    if (list == nullptr) {
        return;
    }
    const std::string pointer = reader.pointer_to("servers");
    const std::size_t count = json_array_size(list);
    if (count == 0 || count > limits::backend_servers) {
        reader.fault("servers", "must be 1 to " + std::to_string(limits::backend_servers) + " servers");
        return;
    }
    for (std::size_t i = 0; i < count; ++i) {
        to.servers.push_back(read_server(json_array_get(list, i), pointer + '/' + std::to_string(i), to, faults));
        for (std::size_t before = 0; before < i; ++before) {
            compare_servers(to.servers, i, before, pointer, faults);
        }
    }
}


constexpr char min_servers_rule[] = "must be \"all\", a number of servers, or a percentage of them, as \"50%\"";

void read_min_servers(json_reader &reader, const json_t *value, backend_settings &to)
{
    reader.allow("min_servers");
    if (value == nullptr) {
        return;
    }
    required_servers &least = to.min_servers;
    if (const auto count = json_whole(value)) {
        least.is = required_servers::unit::servers;
        const std::size_t servers = std::max<std::size_t>(to.servers.size(), 1);
        if (*count < 1) {
            reader.fault("min_servers", min_servers_rule);
            return;
        }
        least.value = static_cast<std::uint64_t>(*count);
        if (least.value > servers) {
            reader.fault("min_servers", "is " + std::to_string(least.value) + ", but the backend has " +
                                            format_count(servers, "server", "servers"));
        }
        return;
    }
    const std::string text(json_text(value));
    if (text == "all") {
        return;
    }
    least.is = required_servers::unit::percent;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), least.value);
    if (error != std::errc() || end + 1 != text.data() + text.size() || *end != '%' || least.value < 1 ||
        least.value > 100) {
        reader.fault("min_servers", min_servers_rule);
    }
}

} // namespace


std::size_t required_servers::of(std::size_t servers) const noexcept
{
    std::size_t least = servers;
    switch (is) {
    case unit::all:
        break;
    case unit::servers:
        least = static_cast<std::size_t>(value);
        break;
    case unit::percent:
        least = (servers * static_cast<std::size_t>(value) + 99) / 100;
        break;
    }
    return std::clamp<std::size_t>(least, 1, std::max<std::size_t>(servers, 1));
}


std::vector<std::string> server_peers(const backend_settings &of)
{
    std::vector<std::string> peers;
    for (const auto &server : of.servers) {
        peers.push_back(server.peer);
    }
    return peers;
}


void read_url(json_reader &reader, std::string &to)
{
    reader.text("url", to, true);
    while (to.ends_with('/')) {
        to.pop_back();
    }
    if (!to.empty() && !is_web_address(to)) {
        reader.fault("url", web_address_rule);
    }
}


void trim_slashes(std::string &path)
{
    while (path.size() > 1 && path.ends_with('/')) {
        path.pop_back();
    }
}


std::string pointer_to_peer(const std::string &backend, std::size_t server)
{
    return "/backends/" + backend + "/servers/" + std::to_string(server) + "/peer";
}


std::string authority_of(const std::string &url)
{
    const auto begin = url.find("://");
    return begin == std::string::npos ? "" : url.substr(begin + 3, url.find('/', begin + 3) - begin - 3);
}


void read_servers(json_reader &reader, const json_t *from, backend_settings &to, std::vector<json_fault> &faults)
{
    read_list(reader, to, faults);
    read_min_servers(reader, json_object_get(from, "min_servers"), to);
    reader.number("max_parallel_loads", to.max_parallel_loads, 1, limits::backend_servers);
}


std::vector<repository_settings> repositories_of(const backend_settings &of)
{
    if (of.servers.empty()) {
        return {{"", of.repository, of.staging}};
    }
    std::vector<repository_settings> all;
    for (std::size_t i = 0; i < of.servers.size(); ++i) {
        const auto &server = of.servers[i];
        if (std::ranges::find(all, server.repository, &repository_settings::repository) == all.end()) {
            all.push_back({server.repository == of.repository ? "" : "/servers/" + std::to_string(i),
                           server.repository, server.staging});
        }
    }
    return all;
}

} // namespace rollout
