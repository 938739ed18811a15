// Whether a browser sends a request for a page of another site: a form, a script or an image there can make any browser that
// reaches the gateway post to it, with whatever the browser knows. No nginx here.
#pragma once

#include <string_view>

namespace rollout {

/// Does a value of the header Origin (RFC 6454, section 7) name the host and the port that the request is for? `authority` is what
/// the request calls the gateway, `host[:port]`; where it names no port, the port is that of https if the connection is `encrypted`
/// by nginx itself, and else of Origin's scheme: something in front of nginx may have taken TLS off. False for `null`, for an
/// extension's or a file's, and for what is no origin.
bool is_own_origin(std::string_view origin, std::string_view authority, bool encrypted) noexcept;

/// Does a value of the header Sec-Fetch-Site (Fetch Metadata, section 2.3) say that a page of this very origin, or a person, asks?
bool is_own_site(std::string_view sec_fetch_site) noexcept;

} // namespace rollout
