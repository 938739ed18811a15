// The values of If-Match and If-None-Match. No nginx here.
#pragma once

#include <cstdint>
#include <string_view>

namespace rollout {

enum class compared : std::uint8_t { weakly, strongly };

/// Does the list name that ETag (RFC 9110, sections 8.8.3 and 13.1)? `*` names any document, also one without an ETag, whose
/// `etag` is empty. Strongly compared, a weak one is nobody's. What is no list names nothing from there on.
bool names_etag(std::string_view list, std::string_view etag, compared how) noexcept;

} // namespace rollout
