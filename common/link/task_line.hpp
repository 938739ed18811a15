// A task on the link, as a line behind the message of a frame (frame.hpp): tasks are most of what is sent, many at a time, and
// nginx has no need to look into their documents.
//
//     KIND SEQUENCE REVISION STATUS TASK_ID MODEL_ID DOCUMENT
//
// `SEQUENCE` is the task's place in the order of acceptance, `REVISION` the journal's counter at its last change, `DOCUMENT` the rest of
// the line, as the client reads it in the standard dialect.
#pragma once

#include "common/domain/task_status.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace rollout {

/// Its members point into the line, or into what it is made of.
struct task_line {
    task_kind kind = task_kind::deploy;
    std::uint64_t sequence = 0;
    std::uint64_t revision = 0;
    task_status status = task_status::pending;
    std::string_view task_id;
    std::string_view model_id;
    std::string_view document;
};

/// Appends it without a line feed, also where the document has some between its tokens: they become blanks, which are the same to JSON.
void append_task_line(std::string &to, const task_line &from);

/// Nothing if the line has not all of these, a name that is none (identifiers.hpp), or a document over limits::document_bytes. The document is
/// not looked into.
std::optional<task_line> read_task_line(std::string_view line) noexcept;

} // namespace rollout
