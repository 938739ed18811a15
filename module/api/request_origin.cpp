#include "module/api/request_origin.hpp"

#include "common/base/text.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include <arpa/inet.h>

namespace rollout {

namespace {

constexpr std::uint16_t http_port = 80;
constexpr std::uint16_t https_port = 443;

struct host_and_port {
    std::string_view host;             ///< with brackets if it is an IPv6 address
    std::optional<std::uint16_t> port; ///< nothing: the port of the scheme
};


/// Parses `host[:port]`; nothing else may follow.
std::optional<host_and_port> read_host_and_port(std::string_view text) noexcept
{
    const auto bracket = text.starts_with('[') ? text.find(']') : 0;
    if (bracket == std::string_view::npos) {
        return std::nullopt;
    }
    const auto colon = text.find(':', bracket);
    host_and_port to{text.substr(0, colon), std::nullopt};
    if (to.host.empty() || to.host.find_first_of("/?#@\\ \t") != std::string_view::npos ||
        (bracket != 0 && to.host.size() != bracket + 1)) {
        return std::nullopt;
    }
    if (colon != std::string_view::npos && colon + 1 < text.size()) { // `host:` is equivalent to `host`
        std::uint16_t port = 0;
        if (!read_number(text.substr(colon + 1), port)) {
            return std::nullopt;
        }
        to.port = port;
    }
    return to;
}


/// Returns the bytes of an IPv6 address, which has many spellings.
std::optional<std::array<std::uint8_t, 16>> address_of(std::string_view host)
{
    std::array<std::uint8_t, 16> bytes{};
    if (!host.starts_with('[')) {
        return std::nullopt;
    }
    const std::string text(host.substr(1, host.size() - 2));
    return inet_pton(AF_INET6, text.c_str(), bytes.data()) == 1 ? std::optional(bytes) : std::nullopt;
}


bool same_host(std::string_view one, std::string_view other)
{
    if (equal_ignoring_case(one, other)) {
        return true;
    }
    const auto address = address_of(one);
    return address && address == address_of(other);
}

} // namespace


bool is_own_origin(std::string_view origin, std::string_view authority, bool encrypted) noexcept
try {
    constexpr std::string_view mark = "://";
    const auto scheme_end = origin.find(mark);
    if (scheme_end == std::string_view::npos) {
        return false; // `null`, or malformed
    }
    const auto scheme = origin.substr(0, scheme_end);
    const bool secure = equal_ignoring_case(scheme, "https");
    if (!secure && !equal_ignoring_case(scheme, "http")) {
        return false;
    }
    const auto there = read_host_and_port(origin.substr(scheme_end + mark.size()));
    const auto here = read_host_and_port(authority);
    if (!there || !here || !same_host(there->host, here->host)) {
        return false;
    }
    return there->port.value_or(secure ? https_port : http_port) ==
           here->port.value_or(secure || encrypted ? https_port : http_port);
} catch (...) {
    return false; // out of memory
}


bool is_own_site(std::string_view sec_fetch_site) noexcept
{
    return sec_fetch_site == "same-origin" || sec_fetch_site == "none";
}

} // namespace rollout
