// The audit: one line of rolloutd's log for each change that a client asked for, with who asked, and what became of it.
#pragma once

#include "common/domain/client_identity.hpp"
#include "worker/scheduler/requests.hpp"

#include <string>
#include <string_view>

namespace rollout {

/// A change as a gateway asked for it.
struct asked_change {
    std::string_view action; ///< `deploy`, `delete`, or a word to a task (task_verb.hpp)
    std::string task_id;
    std::string model_id; ///< empty if the gateway named the task alone
    client_identity by;
    bool steers = false; ///< a word to a task that exists
};

/// Writes the line: once, whether the client still waits for the answer or not.
void audit(const asked_change &asked, const request_answer &answer) noexcept;

} // namespace rollout
