// A task on its way to a gateway.
#pragma once

#include "common/limits.hpp"
#include "common/names.hpp"
#include "worker/journal/journal.hpp"

#include <algorithm>
#include <string>
#include <string_view>

namespace rollout {

/// Its line behind a frame's message (common/frame.hpp), with the line feed. The ids have no spaces.
inline std::string line_of(const task_row &row)
{
    std::string line;
    line.reserve(row.document.size() + limits::task_id_bytes + limits::model_id_bytes + 80);
    const auto add = [&line](std::string_view word) { line.append(line.empty() ? "\n" : " ").append(word); };
    add(kind_name(row.kind));
    add(std::to_string(row.sequence));
    add(std::to_string(row.revision));
    add(status_name(row.status));
    add(row.task_id);
    add(row.model_id);
    add(row.document);
    // One between a document's tokens, where somebody else has written it.
    std::replace(line.begin() + 1, line.end(), '\n', ' ');
    return line;
}

} // namespace rollout
