// Recognizes network addresses that lead to this machine itself or to its own link, where no public server is.
#pragma once

#include <string_view>

#include <sys/socket.h>

namespace rollout {

/// Returns the kind of an address that a download must not use unless the operator allows it: "a loopback address" (RFC
/// 1122 section 3.2.1.3, RFC 4291 section 2.5.3), "a link-local address" (RFC 3927, RFC 4291 section 2.5.6: used for
/// cloud machines' metadata), "a cloud's metadata service" if that is elsewhere, "the unspecified address", "a multicast
/// address". Empty for all others. An IPv4 address inside an IPv6 one (mapped, RFC 4291 section 2.5.5; translated, RFC
/// 6052; 6to4, RFC 3056) is judged as the IPv4 address.
std::string_view kind_of_local_address(const sockaddr &address) noexcept;

} // namespace rollout
