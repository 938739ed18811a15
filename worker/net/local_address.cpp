#include "worker/net/local_address.hpp"

#include <cstdint>
#include <cstring>

#include <netinet/in.h>

namespace rollout {

namespace {

constexpr std::string_view loopback = "a loopback address";
constexpr std::string_view link_local = "a link-local address";
constexpr std::string_view unspecified = "the unspecified address";
constexpr std::string_view multicast = "a multicast address";
constexpr std::string_view metadata = "a cloud's metadata service";


std::string_view kind_of_four(std::uint32_t address) noexcept
{
    const std::uint32_t first = address >> 24U;
    if (first == 127) {
        return loopback;
    }
    if (address >> 16U == 0xA9FE) { // 169.254.0.0/16
        return link_local;
    }
    if (first == 0) { // this host on this network: Linux treats it as loopback
        return unspecified;
    }
    if (first >= 224 && first <= 239) {
        return multicast;
    }
    if (address == 0x646464C8) { // Alibaba's cloud; those of the others are link-local
        return metadata;
    }
    return address == 0xFFFFFFFF ? link_local : std::string_view();
}


std::uint32_t four_at(const unsigned char *bytes) noexcept
{
    std::uint32_t address = 0;
    std::memcpy(&address, bytes, sizeof(address));
    return ntohl(address);
}


std::string_view kind_of_six(const unsigned char (&bytes)[16]) noexcept
{
    constexpr unsigned char mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};
    constexpr unsigned char translated[12] = {0, 0x64, 0xFF, 0x9B};
    constexpr unsigned char zeros[12] = {};
    constexpr unsigned char of_ec2[16] = {0xFD, 0, 0x0E, 0xC2, 0, 0, 0,    0,
                                          0,    0, 0,    0,    0, 0, 0x02, 0x54}; // fd00:ec2::254

    if (std::memcmp(bytes, mapped, 12) == 0 || std::memcmp(bytes, translated, 12) == 0) {
        return kind_of_four(four_at(bytes + 12));
    }
    if (std::memcmp(bytes, zeros, 12) == 0) {
        const std::uint32_t rest = four_at(bytes + 12);
        return rest == 0 ? unspecified : rest == 1 ? loopback : kind_of_four(rest); // the rest is "IPv4-compatible"
    }
    if (bytes[0] == 0x20 && bytes[1] == 0x02) { // 6to4
        return kind_of_four(four_at(bytes + 2));
    }
    if (bytes[0] == 0xFE && (bytes[1] & 0xC0U) == 0x80) { // fe80::/10
        return link_local;
    }
    if (std::memcmp(bytes, of_ec2, 16) == 0) {
        return metadata;
    }
    return bytes[0] == 0xFF ? multicast : std::string_view();
}

} // namespace


std::string_view kind_of_local_address(const sockaddr &address) noexcept
{
    if (address.sa_family == AF_INET) {
        return kind_of_four(ntohl(reinterpret_cast<const sockaddr_in &>(address).sin_addr.s_addr));
    }
    if (address.sa_family == AF_INET6) {
        return kind_of_six(reinterpret_cast<const sockaddr_in6 &>(address).sin6_addr.s6_addr);
    }
    return "not a public address";
}

} // namespace rollout
