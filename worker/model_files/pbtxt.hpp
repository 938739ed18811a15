// Protocol buffers' text format (config.pbtxt), as far as it takes to find a message's own fields without mistaking a nested
// one, a comment or a string's inside for them: protobuf.dev/reference/protobuf/textformat-spec.
#pragma once

#include "worker/async/outcome.hpp"

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace rollout {

struct pbtxt_literal {
    std::size_t at = 0;   ///< of the opening quote
    std::size_t size = 0; ///< with both quotes
};

struct pbtxt_field {
    std::string_view name;               ///< empty for an extension's
    std::size_t line = 0;                ///< the first is 1
    std::vector<pbtxt_literal> literals; ///< the adjacent literals that are its value; none where that is no string
};

/// The fields at the top of the text, in their order, or what is wrong with the text and in which line.
result<std::vector<pbtxt_field>> top_fields(std::string_view text);

struct pbtxt_string {
    std::string_view name; ///< the field's; empty for an extension's
    std::string value;     ///< without its quotes; of escapes, those of quotes and of the backslash are taken away
};

/// Every field whose value is a string, or a list of them, at whatever depth it stands, in their order.
result<std::vector<pbtxt_string>> all_strings(std::string_view text);

} // namespace rollout
