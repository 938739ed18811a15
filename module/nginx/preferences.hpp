// How a client wants its answer: `?wait=`, and the header Prefer (RFC 7240).
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

/// `?wait=N`, the one argument of a read. A problem with a detail for another argument, or when N is no whole number.
problem read_wait_argument(ngx_http_request_t *r, preferences &wants);

/// `Prefer: wait=N, respond-async`. What is not understood is left aside, as RFC 7240, section 2, has it.
void read_prefer(ngx_http_request_t *r, preferences &wants) noexcept;

/// Parses one or more Prefer headers' value.
void parse_prefer(std::string_view value, preferences &wants) noexcept;

/// A text without its quotes, where it has a pair: Idempotency-Key is a quoted string to some clients.
std::string_view unquoted(std::string_view text) noexcept;

} // namespace rollout
