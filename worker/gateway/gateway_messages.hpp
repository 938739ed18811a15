// A task on its way to a gateway.
#pragma once

#include "common/domain/limits.hpp"
#include "common/domain/names.hpp"
#include "worker/journal/journal.hpp"

#include <algorithm>
#include <string>
#include <string_view>

namespace rollout {

/// Appends its line behind a frame's message (common/link/frame.hpp), without the line feed. The ids have no spaces.
inline void append_task(std::string &to, const task_row &row)
{
    const auto begin = static_cast<std::ptrdiff_t>(to.size());
    to.append(kind_name(row.kind));
    to.append(1, ' ').append(std::to_string(row.sequence));
    to.append(1, ' ').append(std::to_string(row.revision));
    to.append(1, ' ').append(status_name(row.status));
    to.append(1, ' ').append(row.task_id);
    to.append(1, ' ').append(row.model_id);
    to.append(1, ' ').append(row.document);
    // One between a document's tokens, where somebody else has written it.
    std::replace(to.begin() + begin, to.end(), '\n', ' ');
}

} // namespace rollout
