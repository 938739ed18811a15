// A client that follows events: its place among them, and what it wants of them.
#pragma once

#include "module/handlers/pending_request.hpp"
#include "module/nginx/stream_output.hpp"
#include "module/tables/event_ring.hpp"

#include <cstdint>
#include <string_view>

namespace rollout {

/// In the request's pool. `previous` and `next` are the hub's.
struct event_stream {
    event_stream *previous = nullptr;
    event_stream *next = nullptr;
    ngx_http_request_t *r = nullptr;
    stream_output output;
    std::uint64_t cursor = 0; ///< the last event that it has got, or that it need not get

    task_kind kind = task_kind::deploy; ///< of the one task
    std::string_view task_id;           ///< empty: follows all tasks and routes
    std::string_view model_id;          ///< those of this model only; empty: of all models
    document_form form;
    bool has_samples = false;      ///< wants samples of its models' counters
    std::string_view sample_model; ///< only of that model; empty: of all
    bool is_sampled = false;       ///< it has got the latest sample

    std::uint64_t head_at_request = 0; ///< the latest event then
    bool is_resumed = false;           ///< the client goes on after an event that it has got
    bool is_lost = false;              ///< it asked for that, but the events after it are not known

    ngx_msec_t ping_at = 0;
    ngx_msec_t ends_at = 0;

    bool is_of_task() const noexcept { return !task_id.empty(); }

    /// Returns whether the client is to be told of that change.
    bool concerns(const change &what) const noexcept
    {
        return is_of_task() ? what.kind == change_kind::task && what.of_task == kind && what.name() == task_id
                            : model_id.empty() || what.model_id() == model_id;
    }
};

/// Answers `GET /events`, `GET /deploy/{task_id}/events` and `GET /delete/{task_id}/events`.
ngx_int_t stream_events(pending_request &request);

} // namespace rollout
