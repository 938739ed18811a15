// The query string of a request to the API. No nginx here.
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

/// The arguments in their order, decoded as the URL Standard has it (application/x-www-form-urlencoded, section 5.1): `+` is a
/// space, `%XX` a byte, what is no escape stands for itself, and an argument without `=` has an empty value.
std::vector<query_argument> read_query(std::string_view text);

/// The value of an argument; nothing when it is not given.
std::optional<std::string_view> find_argument(const std::vector<query_argument> &query,
                                              std::string_view name) noexcept;

/// A 422 for arguments that are not known, and for those that are given twice; without a detail when there are none. Each has one
/// meaning here.
problem check_query(const std::vector<query_argument> &query, std::span<const std::string_view> known);

/// A 422 for one argument: what it must be.
problem unusable_argument(std::string_view name, std::string_view rule);

} // namespace rollout
