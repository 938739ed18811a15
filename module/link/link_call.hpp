// A question to rolloutd, from the caller's side: it lives in a request's memory, and has a callback for its end.
#pragma once

#include "common/base/json.hpp"
#include "common/domain/limits.hpp"
#include "common/domain/task_status.hpp"
#include "module/nginx/ngx.hpp"
#include "module/tables/task_table.hpp"

#include <cstdint>
#include <string_view>

namespace rollout {

class pending_calls;

/// How a question ended.
enum class link_result {
    task,     ///< the task; an accepted one is in the table already
    none,     ///< rolloutd knows no such task
    page,     ///< the message that carries a page of a list, or the metrics
    rejected, ///< a problem
    lost,     ///< the link broke, or there is none: whether a submission was accepted is unknown
    late,     ///< no answer in time
    full,     ///< too many questions under way, or too many clients waiting
};

/// A question in progress. Lives in the caller's memory (a request's pool); the caller must call
/// `worker_link::forget` before that memory is released. `done` runs once, unless the call is forgotten, and never
/// from inside `submit` or `watch`; it gets a task, or the message of a rejection or a page.
struct link_call {
    using done_fn = void (*)(link_call &call, link_result result, const task_record *task, const json_t *message);

    /// Receives one document of a list, and its task or null. Runs before `done`, which then gets the final message.
    /// Must not throw, and must not end the call.
    using document_fn = void (*)(link_call &call, std::string_view document, const task_record *task);

    done_fn done = nullptr;
    document_fn document = nullptr;
    void *asker = nullptr;

    // For the link only.
    pending_calls *among = nullptr;
    std::uint64_t id = 0; ///< 0: not in progress
    ngx_event_t timer{};
    bool survives = false; ///< a watch is asked again over the next link
    bool submits = false;  ///< it creates or changes something, which is uncertain until its answer comes
    task_kind kind = task_kind::deploy;
    std::uint64_t after = 0;
    std::uint8_t name_bytes = 0;
    bool name_is_model = false;
    char name[limits::model_id_bytes] = {};
};

} // namespace rollout
