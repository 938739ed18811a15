// A client's preferences for the answer: `?wait=`, and the header Prefer (RFC 7240).
#pragma once

#include "module/api/problem.hpp"
#include "module/nginx/ngx.hpp"

#include <optional>
#include <string_view>

namespace rollout {

struct preferences {
    std::optional<unsigned> wait; ///< seconds that the answer may be held, at most limits::wait_s
    bool respond_async = false;
};

/// Reads `?wait=N`, the only argument of a read. Returns a problem with a detail for another argument, or if N is not
/// a whole number.
problem read_wait_argument(ngx_http_request_t *r, preferences &wants);

/// Reads `Prefer: wait=N, respond-async`. Ignores preferences that it does not know, as RFC 7240, section 2,
/// requires.
void read_prefer(ngx_http_request_t *r, preferences &wants) noexcept;

/// Parses the value of one or more Prefer headers.
void parse_prefer(std::string_view value, preferences &wants) noexcept;

/// Returns the text without its pair of quotes, if it has one: to some clients Idempotency-Key is a quoted string.
std::string_view unquoted(std::string_view text) noexcept;

} // namespace rollout
