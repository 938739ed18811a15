// An error as the client reads it: application/problem+json (RFC 9457).
#pragma once

#include "common/base/json.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace rollout {

struct problem {
    /// A member at fault, and what is wrong with it: a member of the request's body, as a JSON pointer (RFC 6901), or
    /// an argument of its query.
    struct member {
        std::string pointer;
        std::string detail;
        std::optional<std::string> parameter{}; ///< the argument's name; nothing if it is a member of the body
    };

    int status = 500;
    std::string detail; ///< a sentence: what happened, to what, what to do
    std::vector<member> errors;
    std::string task_id;        ///< the task that may or may not exist, so that the client can ask again
    unsigned retry_after_s = 0; ///< 0: no Retry-After

    /// Returns the body of the answer. `type` is "about:blank": the title is that of the status (section 4.2.1).
    std::string to_json() const;
};

/// Returns the reason phrase of a status code (RFC 9110, section 15; includes 422 and 429).
std::string_view status_title(int status) noexcept;

} // namespace rollout
