// Text as the journal keeps it where it is long: deflated (zlib's format, RFC 1950).
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace rollout {

/// Throws std::bad_alloc.
std::string pack_text(std::string_view text);

/// Returns nothing if that is not packed text, or of more than `most_bytes`. Throws std::bad_alloc.
std::optional<std::string> unpack_text(std::string_view packed, std::size_t most_bytes);

} // namespace rollout
