#include "worker/gateway/upstream_servers.hpp"

#include "common/domain/limits.hpp"
#include "common/domain/upstream_name.hpp"

#include <arpa/inet.h>

#include <array>
#include <cstddef>

namespace rollout {

namespace {

/// Returns the peer in one way of writing: in lower case, with its port, an IPv6 address in its short form.
std::string key_of(const std::string &peer)
{
    const std::string text = upstream_key(peer);
    const auto bracket = text.rfind(']');
    const std::string port =
        text.find(':', bracket == std::string::npos ? 0 : bracket) == std::string::npos ? ":80" : "";
    if (!text.starts_with('[') || bracket == std::string::npos) {
        return text.starts_with("unix:") ? peer : text + port;
    }
    in6_addr address{};
    std::array<char, INET6_ADDRSTRLEN> written{};
    if (inet_pton(AF_INET6, text.substr(1, bracket - 1).c_str(), &address) != 1 ||
        inet_ntop(AF_INET6, &address, written.data(), written.size()) == nullptr) {
        return text + port;
    }
    return '[' + std::string(written.data()) + text.substr(bracket) + port;
}

} // namespace


upstream_servers upstream_servers::of_hello(const json_t *hello)
{
    upstream_servers all;
    std::size_t bytes = 0;
    const char *name = nullptr;
    json_t *list = nullptr;
    json_object_foreach(json_object_get(hello, "servers"), name, list)
    {
        auto &servers = all.blocks_[upstream_key(name)];
        for (std::size_t i = 0; i < json_array_size(list); ++i) {
            const std::string server(json_text(json_array_get(list, i)));
            bytes += server.size();
            if (bytes > limits::known_upstreams_bytes) {
                return {};
            }
            servers.insert(key_of(server));
        }
    }
    return all;
}


bool upstream_servers::lacks(const std::string &upstream, const std::string &peer) const
{
    const auto block = blocks_.find(upstream_key(upstream));
    return block != blocks_.end() && !block->second.contains(key_of(peer));
}

} // namespace rollout
