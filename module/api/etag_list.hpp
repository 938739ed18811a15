// The values of If-Match and If-None-Match. Independent of nginx.
#pragma once

#include "common/base/function_ref.hpp"

#include <cstdint>
#include <string_view>

namespace rollout {

enum class compared : std::uint8_t { weakly, strongly };

/// Returns whether the list names that ETag (RFC 9110, sections 8.8.3 and 13.1). `*` names any document, also one
/// without an ETag, whose `etag` is empty. In a strong comparison a weak ETag matches nothing. A malformed list names
/// nothing from the malformed part on.
bool names_etag(std::string_view list, std::string_view etag, compared comparison) noexcept;

/// Visits the ETags of the list, quotes included, up to the malformed part, until `visit` returns false.
void each_etag(std::string_view list, const function_ref<bool(std::string_view etag, bool is_weak)> &visit);

} // namespace rollout
