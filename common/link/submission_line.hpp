// A client's wish for a task, as a line behind the message of a `submit` frame (frame.hpp): many come at once, and a message
// of each would take most of the time that they take.
//
//     ID KIND TASK_ID MODEL_ID PARENT_ID CONFIG<tab>BY
//
// `ID` numbers the question on its connection; `PARENT_ID` is `.` where there is none; `CONFIG`, an object, is compact JSON,
// which holds no tab and no line feed; `BY` says who asks (client_identity.hpp).
#pragma once

#include "common/domain/task_status.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace rollout {

/// Its members point into the line, or into what it is made of.
struct submission_line {
    std::uint64_t id = 0;
    task_kind kind = task_kind::deploy;
    std::string_view task_id;
    std::string_view model_id;
    std::string_view parent_id; ///< empty: none
    std::string_view config;
    std::string_view by;
};

/// Appends it with the line feed that goes before it: all of it, or nothing where memory is out.
void append_line(std::string &lines, const submission_line &from);

/// Nothing where the line has not all of these, or a name that is none (identifiers.hpp). The JSON is not looked into.
std::optional<submission_line> read_submission(std::string_view line) noexcept;

} // namespace rollout
