// A task on the link, as a line after the message of a frame (frame.hpp): most of the data on the link is tasks, many
// at a time, and nginx does not need to parse their documents.
//
//     KIND SEQUENCE REVISION STATUS TASK_ID MODEL_ID DOCUMENT
//
// `SEQUENCE` is the task's position in the order of acceptance, `REVISION` the journal's counter at its last change,
// `DOCUMENT` the rest of the line, as the client reads it in the standard dialect.
#pragma once

#include "common/domain/task_status.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace rollout {

/// The members point into the line, or into the data that the line is made from.
struct task_line {
    task_kind kind = task_kind::deploy;
    std::uint64_t sequence = 0;
    std::uint64_t revision = 0;
    task_status status = task_status::pending;
    std::string_view task_id;
    std::string_view model_id;
    std::string_view document;
};

/// Appends the line, without a line feed. Line feeds between the tokens of the document become spaces, which mean the
/// same in JSON.
void append_task_line(std::string &to, const task_line &from);

/// Returns nothing if a member is missing, a name is invalid (identifiers.hpp), or the document is over
/// limits::document_bytes. Does not parse the document.
std::optional<task_line> read_task_line(std::string_view line) noexcept;

} // namespace rollout
