// A task on its way to a gateway.
#pragma once

#include "worker/journal/journal.hpp"

#include <algorithm>
#include <string>

namespace rollout {

/// {kind, seq, revision, status, task_id, model_id}; the ids are of characters that need no escape.
inline std::string text_of(const task_row &row)
{
    return "{\"kind\":\"" + std::string(kind_name(row.kind)) + "\",\"seq\":" + std::to_string(row.sequence) +
           ",\"revision\":" + std::to_string(row.revision) + ",\"status\":\"" + std::string(status_name(row.status)) +
           "\",\"task_id\":\"" + row.task_id + "\",\"model_id\":\"" + row.model_id + "\"}";
}


/// The document as a line of its own, behind the frame's message.
inline std::string line_of(const task_row &row)
{
    std::string line = "\n" + row.document;
    std::replace(line.begin() + 1, line.end(), '\n', ' '); // between tokens, where somebody else has written it
    return line;
}

} // namespace rollout
