// An error as the client reads it: application/problem+json (RFC 9457).
#pragma once

#include "common/base/json.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace rollout {

struct problem {
    /// What is at fault, and what is wrong with it: a member of the request's body, by a JSON pointer (RFC 6901), or an argument
    /// of its query.
    struct member {
        std::string pointer;
        std::string detail;
        std::optional<std::string> parameter{}; ///< the argument's name; nothing: it is a member
    };

    int status = 500;
    std::string detail; ///< a sentence: what happened, to what, what to do
    std::vector<member> errors;
    std::string task_id;        ///< of a task that may or may not exist, so that the caller can ask again
    unsigned retry_after_s = 0; ///< 0: no Retry-After

    /// The body. `type` is "about:blank": the title is the status's own (section 4.2.1).
    std::string to_json() const;
};

/// The words of a status code (RFC 9110, section 15; 422 and 429 included).
std::string_view status_title(int status) noexcept;

} // namespace rollout
