// Which network addresses lead to this machine itself, or to its own link, where nothing for the public is.
#pragma once

#include <string_view>

#include <sys/socket.h>

namespace rollout {

/// What an address is that a download must not go to unless the operator allows it: "a loopback address" (RFC 1122 section
/// 3.2.1.3, RFC 4291 section 2.5.3), "a link-local address" (RFC 3927, RFC 4291 section 2.5.6: cloud machines' metadata is
/// there), "a cloud's metadata service" where that is elsewhere, "the unspecified address", "a multicast address". Empty for
/// all others. An IPv4 address inside an IPv6 one (mapped, RFC 4291 section 2.5.5; translated, RFC 6052; 6to4, RFC 3056)
/// counts as what it is.
std::string_view kind_of_local_address(const sockaddr &address) noexcept;

} // namespace rollout
