// A question to rolloutd, as who asks has it: a request's own memory, with what is called at its end.
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
    task,     ///< here it is; an accepted one is in the table already
    none,     ///< rolloutd knows no such task
    page,     ///< of a list, or of the metrics: the message that carries it
    rejected, ///< a problem
    lost,     ///< the link broke, or there is none: nobody knows whether a submission was taken
    late,     ///< no answer in time
    full,     ///< too many questions under way, or too many clients waiting
};

/// A question under way. Lives in the asker's memory (a request's pool); the asker calls `worker_link::forget` before
/// that memory goes. `done` runs once, unless forgotten, and never from inside `submit` or `watch`; with a task, or with the
/// message of a rejection or of a page.
struct link_call {
    using done_fn = void (*)(link_call &call, link_result result, const task_record *task, const json_t *message);

    /// Of a list: one of its documents, and the task that it is of, or null; before `done`, which then has the message of the end. It
    /// must not throw, and not end the call.
    using document_fn = void (*)(link_call &call, std::string_view document, const task_record *task);

    done_fn done = nullptr;
    document_fn document = nullptr;
    void *asker = nullptr;

    // the link's own
    pending_calls *among = nullptr;
    std::uint64_t id = 0; ///< 0: not under way
    ngx_event_t timer{};
    bool survives = false; ///< a watch is asked again over the next link
    bool submits = false;  ///< its answer says what was created or changed, and until it comes that is in doubt
    task_kind kind = task_kind::deploy;
    std::uint64_t after = 0;
    std::uint8_t name_bytes = 0;
    bool name_is_model = false;
    char name[limits::model_id_bytes] = {};
};

} // namespace rollout
