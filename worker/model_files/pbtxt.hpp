// Parses protocol buffers' text format (config.pbtxt) just enough to find a message's own fields, without mistaking a
// nested field, a comment or the inside of a string for one: protobuf.dev/reference/protobuf/textformat-spec.
#pragma once

#include "worker/async/outcome.hpp"

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace rollout {

struct pbtxt_literal {
    std::size_t at = 0;   ///< of the opening quote
    std::size_t size = 0; ///< including both quotes
};

struct pbtxt_field {
    std::string_view name;               ///< empty for an extension
    std::size_t line = 0;                ///< the first is 1
    std::vector<pbtxt_literal> literals; ///< the adjacent literals of its value; empty if that is not a string
};

/// Returns the fields at the top of the text, in order, or what is wrong with the text and in which line.
result<std::vector<pbtxt_field>> top_fields(std::string_view text);

struct pbtxt_string {
    std::string_view name; ///< of the field; empty for an extension
    std::string value;     ///< without its quotes; only escaped quotes and backslashes are unescaped
};

/// Returns every field, at any depth, whose value is a string or a list of strings, in order.
result<std::vector<pbtxt_string>> all_strings(std::string_view text);

} // namespace rollout
