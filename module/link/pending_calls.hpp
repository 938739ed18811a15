// The questions in progress, each from its beginning to its end, with an answer or without one. Independent of frames
// and connections.
//
// Clients that wait for the same news of a task share one question (watch_groups.hpp), and continue to wait while
// connections come and go. Every other question belongs to one connection.
#pragma once

#include "common/base/function_ref.hpp"
#include "module/link/link_call.hpp"
#include "module/link/watch_groups.hpp"
#include "module/nginx/ngx.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <unordered_map>

namespace rollout {

class pending_calls {
  public:
    /// The callbacks; neither may throw.
    struct events {
        std::function<void()> on_doubt;                           ///< a change was not confirmed in time
        std::function<void(std::uint64_t question)> on_abandoned; ///< nobody waits for the answer to that watch
    };

    /// `max_waiting` is the greatest number of watches.
    pending_calls(std::size_t max_waiting, ngx_log_t *log, events tell);

    /// Drops the calls in progress without calling `done`.
    ~pending_calls();
    pending_calls(const pending_calls &) = delete;
    pending_calls &operator=(const pending_calls &) = delete;

    /// Begins a call, which `ask` then sends under `call.id`; it ends as `late` after the timeout. Returns `task`, or
    /// `full`. If `begin` or `ask` throws, nothing of the call remains: its timer would end a request that has
    /// already ended, and an answer that never comes would count as outstanding.
    link_result begin(link_call &call, ngx_msec_t timeout, const function_ref<void()> &ask);

    /// The same for a watch; `ask` is called only if no other call waits for the same news.
    link_result begin_watch(link_call &call, ngx_msec_t timeout, const function_ref<void()> &ask);

    /// Counts a client that follows events among those that wait. Returns false if too many wait already.
    bool begin_stream() noexcept;
    void end_stream() noexcept { --streams_; }

    /// Forgets a call if it is in progress: its `done` is not called.
    void forget(link_call &call) noexcept;

    /// Notes that rolloutd has answered that question, so that its result is certain.
    void note_answer(std::uint64_t id) noexcept { unanswered_.erase(id); }

    /// Ends the call, or all calls that wait for the same news, with that answer.
    void answer(std::uint64_t id, link_result result, const task_record *task, const json_t *message);

    /// Returns the call of that number, or null if its client has gone.
    link_call *find(std::uint64_t id) noexcept;

    /// Returns whether a question that changes something was sent over this connection and has no answer, even if its
    /// client has gone.
    bool in_doubt() const noexcept;

    /// To be called when the connection has ended: the questions that it carried will not be answered.
    void forget_unanswered() noexcept { unanswered_.clear(); }

    void end_questions(link_result result) noexcept { end_all(false, result); }
    void end_watches(link_result result) noexcept { end_all(true, result); }

    /// Asks for each watch again, once for all calls that wait for the same news.
    void ask_again(const function_ref<void(const link_call &call)> &ask);

  private:
    static void on_timer(ngx_event_t *event) noexcept;

    void end_all(bool watches, link_result result) noexcept;
    void drop(link_call &call) noexcept;
    void end(link_call &call) noexcept;
    void finish(link_call &call, link_result result, const task_record *task, const json_t *message) noexcept;

    bool is_full() const noexcept { return groups_.waiting() + streams_ >= max_waiting_; }

    std::size_t max_waiting_;
    std::size_t streams_ = 0;
    ngx_log_t *log_;
    events tell_;

    std::uint64_t last_id_ = 0;
    std::map<std::uint64_t, link_call *> calls_;
    watch_groups groups_; ///< those of `calls_` that are watches

    /// The questions that were sent over this connection and that rolloutd has not answered, including those whose
    /// client has gone; true if the question changes something.
    std::unordered_map<std::uint64_t, bool> unanswered_;
};

} // namespace rollout
