// A task on its way to a gateway.
#pragma once

#include "worker/journal/journal.hpp"

#include <string>

namespace rollout {

/// {kind, seq, revision, doc}, around the document's text as the journal has it.
inline std::string text_of(const task_row &row)
{
    return "{\"kind\":\"" + std::string(kind_name(row.kind)) + "\",\"seq\":" + std::to_string(row.sequence) +
           ",\"revision\":" + std::to_string(row.revision) + ",\"doc\":" + row.document + "}";
}

} // namespace rollout
