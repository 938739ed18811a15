// The kind of body that a Content-Type declares. Independent of nginx.
#pragma once

#include <cstdint>
#include <string_view>

namespace rollout {

enum class body_kind : std::uint8_t {
    json,
    json_of_another_charset, ///< JSON exchanged between systems is UTF-8 (RFC 8259, section 8.1)
    other,
};

/// Classifies a value of the header Content-Type (RFC 9110, section 8.3). JSON is `application/json`, or a type that
/// ends in `+json`. Names are compared without case; values may be quoted.
body_kind body_kind_of(std::string_view content_type) noexcept;

} // namespace rollout
