// Handles the changes that clients request through gateways: new tasks, and verbs for tasks. Checks them, passes them
// to the scheduler, and answers.
#pragma once

#include "common/domain/task_verb.hpp"
#include "common/link/submission_line.hpp"
#include "worker/gateway/session.hpp"
#include "worker/scheduler/requests.hpp"

#include <cstdint>
#include <functional>

namespace rollout {

struct asked_change;

/// Each request has one answer and one line in the audit, whether or not its client still waits. This outlives the
/// pending answers.
class task_requests {
  public:
    struct surroundings {
        /// Handle a submission and a client's verb for a task; the answer may come later.
        std::function<void(submission, answer_fn)> submit;
        std::function<void(steer_request, answer_fn)> steer;

        /// Called when an answer over that link contains a new task, which has that revision.
        std::function<void(const session &to, std::uint64_t revision)> on_told;
    };

    explicit task_requests(surroundings around) : around_(std::move(around)) {}
    task_requests(const task_requests &) = delete;
    task_requests &operator=(const task_requests &) = delete;

    /// Handles a `submit` frame, with a line for each submission; the first malformed one ends the session.
    void on_submissions(const session_ptr &from);

    /// Handles a `steer` frame.
    void on_steer(const session_ptr &from, const json_t *message);

  private:
    void on_submission(const session_ptr &from, const submission_line &line);
    answer_fn answer_to(const session_ptr &from, std::uint64_t id, asked_change asked);
    void send_answer(session &to, std::uint64_t id, const asked_change &asked, const request_answer &answer);

    surroundings around_;
};

} // namespace rollout
