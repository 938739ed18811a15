// The questions under way, each from where it begins to where it ends, with an answer or without one. Knows no frame and no
// connection.
//
// Clients that wait for the same news of a task share one question (watch_groups.hpp), and wait over a connection that comes and goes;
// every other question is one connection's.
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
    /// What it calls; neither may throw.
    struct events {
        std::function<void()> on_doubt;                           ///< a change was not confirmed in time
        std::function<void(std::uint64_t question)> on_abandoned; ///< nobody waits for that watch's answer any more
    };

    /// `max_waiting`: how many watches there may be.
    pending_calls(std::size_t max_waiting, ngx_log_t *log, events tell);

    /// Those that are under way end without a word.
    ~pending_calls();
    pending_calls(const pending_calls &) = delete;
    pending_calls &operator=(const pending_calls &) = delete;

    /// Begins a call, which `ask` then sends under `call.id`; it is `late` after the timeout. Returns `task`, or `full`. If either
    /// throws, nothing of the call stays: its time would end a request that has ended by then, and an answer that never comes would
    /// count as one to come.
    link_result begin(link_call &call, ngx_msec_t timeout, const function_ref<void()> &ask);

    /// The same for a watch; `ask` is called if nobody waits for the same.
    link_result begin_watch(link_call &call, ngx_msec_t timeout, const function_ref<void()> &ask);

    /// Forgets a call, if it is under way: its `done` is not called.
    void forget(link_call &call) noexcept;

    /// rolloutd has answered that question: it is in doubt no more.
    void note_answer(std::uint64_t id) noexcept { unanswered_.erase(id); }

    /// Ends the call, or all that wait for the same, with that answer.
    void answer(std::uint64_t id, link_result result, const task_record *task, const json_t *message);

    /// The call of that number; null when its client has gone.
    link_call *find(std::uint64_t id) noexcept;

    /// Has this connection carried anything that changes something and is not answered, also if its client has gone?
    bool in_doubt() const noexcept;

    /// The connection that carried the questions has ended; none of them is answered any more.
    void forget_unanswered() noexcept { unanswered_.clear(); }

    void end_questions(link_result result) noexcept { end_all(false, result); }
    void end_watches(link_result result) noexcept { end_all(true, result); }

    /// Asks for each watch again, once for all who wait for the same.
    void ask_again(const function_ref<void(const link_call &call)> &ask);

  private:
    static void on_timer(ngx_event_t *event) noexcept;

    void end_all(bool watches, link_result result) noexcept;
    void drop(link_call &call) noexcept;
    void end(link_call &call) noexcept;
    void finish(link_call &call, link_result result, const task_record *task, const json_t *message) noexcept;

    std::size_t max_waiting_;
    ngx_log_t *log_;
    events tell_;

    std::uint64_t last_id_ = 0;
    std::map<std::uint64_t, link_call *> calls_;
    watch_groups groups_; ///< of `calls_`: those that only wait

    /// The questions that this connection has carried and rolloutd has not answered, also those whose client has gone;
    /// true: one that changes something.
    std::unordered_map<std::uint64_t, bool> unanswered_;
};

} // namespace rollout
