// The query string of a request to the API. Independent of nginx.
#pragma once

#include "module/api/problem.hpp"

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace rollout {

struct query_argument {
    std::string name;
    std::string value;
};

/// Returns the arguments in their order, decoded as the URL Standard specifies (application/x-www-form-urlencoded,
/// section 5.1): `+` is a space, `%XX` a byte, an invalid escape stands for itself, and an argument without `=` has
/// an empty value.
std::vector<query_argument> read_query(std::string_view text);

/// Returns the value of an argument, or nothing if it is not given.
std::optional<std::string_view> find_argument(const std::vector<query_argument> &query,
                                              std::string_view name) noexcept;

/// Returns a 422 for arguments that are unknown or given twice, since each must have one meaning. The detail is empty
/// if there are none.
problem check_query(const std::vector<query_argument> &query, std::span<const std::string_view> known);

/// Returns a 422 for one argument, with the rule for its value.
problem unusable_argument(std::string_view name, std::string_view rule);

} // namespace rollout
