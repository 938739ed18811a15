// What a body says that it is. No nginx here.
#pragma once

#include <cstdint>
#include <string_view>

namespace rollout {

enum class body_kind : std::uint8_t {
    json,
    json_of_another_charset, ///< JSON between systems is UTF-8 (RFC 8259, section 8.1)
    other,
};

/// Of a value of the header Content-Type (RFC 9110, section 8.3): `application/json`, or a type that is JSON by its ending `+json`.
/// Names are read in whatever case, and values with or without quotes.
body_kind body_kind_of(std::string_view content_type) noexcept;

} // namespace rollout
