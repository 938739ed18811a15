// A client's request for a task, as a line after the message of a `submit` frame (frame.hpp): many arrive at once,
// and a message for each would take most of the time spent on them.
//
//     ID KIND TASK_ID MODEL_ID PARENT_ID CONFIG<tab>BY
//
// `ID` numbers the question on its connection; `PARENT_ID` is `.` if there is none; `CONFIG`, an object, is compact
// JSON, which contains no tab and no line feed; `BY` identifies the client (client_identity.hpp).
#pragma once

#include "common/domain/task_status.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace rollout {

/// The members point into the line, or into the data that the line is made from.
struct submission_line {
    std::uint64_t id = 0;
    task_kind kind = task_kind::deploy;
    std::string_view task_id;
    std::string_view model_id;
    std::string_view parent_id; ///< empty: none
    std::string_view config;
    std::string_view by;
};

/// Appends the line, after a line feed: all of it, or nothing if out of memory.
void append_line(std::string &lines, const submission_line &from);

/// Returns nothing if a member is missing or a name is invalid (identifiers.hpp). Does not parse the JSON.
std::optional<submission_line> read_submission(std::string_view line) noexcept;

} // namespace rollout
