#include "common/domain/upstream_name.hpp"

#include "common/domain/limits.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>

#include <arpa/inet.h>
#include <netinet/in.h>

namespace rollout {

namespace {

struct parts {
    std::string_view host; ///< without brackets if it is an IPv6 address
    bool has_port;
    bool is_bracketed;
};

parts split(std::string_view upstream) noexcept
{
    if (upstream.starts_with('[')) {
        const auto end = upstream.find(']');
        const auto host = upstream.substr(1, end == std::string_view::npos ? end : end - 1);
        return {host, end != std::string_view::npos && upstream.substr(end + 1).starts_with(':'), true};
    }
    const auto colon = upstream.rfind(':');
    return {upstream.substr(0, colon), colon != std::string_view::npos, false};
}

} // namespace


bool is_upstream_address(std::string_view upstream)
{
    if (upstream.starts_with("unix:")) {
        return true;
    }
    const auto to = split(upstream);
    std::array<unsigned char, sizeof(in6_addr)> bytes;
    return inet_pton(to.is_bracketed ? AF_INET6 : AF_INET, std::string(to.host).c_str(), bytes.data()) == 1;
}


bool is_host_and_port(std::string_view upstream)
{
    return split(upstream).has_port && !is_upstream_address(upstream);
}


bool is_peer(std::string_view text)
{
    const bool is_plain = std::ranges::all_of(text, [](char c) {
        return c > ' ' && c < 0x7f && c != '"' && c != '\\' && c != ';' && c != '{' && c != '}';
    });
    if (!is_plain || text.empty() || text.size() > limits::peer_bytes) {
        return false;
    }
    if (text.starts_with("unix:")) {
        return text.substr(5).starts_with('/');
    }
    const auto to = split(text);
    const auto digits = text.substr(text.rfind(':') + 1);
    std::uint16_t port = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
    return to.has_port && !to.host.empty() && error == std::errc() && end == digits.data() + digits.size() &&
           port != 0 && text.find('/') == std::string_view::npos &&
           (to.is_bracketed || to.host.find(':') == std::string_view::npos) &&
           (!to.is_bracketed || is_upstream_address(text));
}


std::string upstream_key(std::string_view upstream)
{
    std::string key(upstream);
    std::ranges::transform(key, key.begin(),
                           [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
    return key;
}

} // namespace rollout
