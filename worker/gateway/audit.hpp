// The audit: one line of rolloutd's log for each change that a client requests, with the client's identity and the
// result.
#pragma once

#include "common/domain/client_identity.hpp"
#include "worker/scheduler/requests.hpp"

#include <string>
#include <string_view>

namespace rollout {

/// A change as a gateway requested it.
struct asked_change {
    std::string_view action; ///< `deploy`, `delete`, or a verb for a task (task_verb.hpp)
    std::string task_id;
    std::string model_id; ///< empty if the gateway named only the task
    client_identity by;
    bool steers = false; ///< a verb for an existing task
};

/// Writes the line: once, whether or not the client still waits for the answer.
void audit(const asked_change &asked, const request_answer &answer) noexcept;

} // namespace rollout
