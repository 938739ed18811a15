// Detects requests that a browser sends for a page of another site. A form, a script or an image there can make any
// browser that reaches the gateway post to it, with the browser's credentials. Independent of nginx.
#pragma once

#include <string_view>

namespace rollout {

/// Returns whether a value of the header Origin (RFC 6454, section 7) names the host and the port that the request is
/// sent to. `authority` is the request's name for the gateway, `host[:port]`. If it has no port, the port is that of
/// https if nginx itself terminates TLS (`encrypted`), else that of Origin's scheme: a proxy in front of nginx may
/// have terminated TLS. False for `null`, for the origin of an extension or a file, and for a malformed origin.
bool is_own_origin(std::string_view origin, std::string_view authority, bool encrypted) noexcept;

/// Returns whether a value of the header Sec-Fetch-Site (Fetch Metadata, section 2.3) says that a page of the same
/// origin or the user made the request.
bool is_own_site(std::string_view sec_fetch_site) noexcept;

} // namespace rollout
