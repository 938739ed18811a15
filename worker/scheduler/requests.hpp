// What clients ask of the scheduler, and its answers: the port that the gateway server calls.
#pragma once

#include "common/base/json.hpp"
#include "common/domain/client_identity.hpp"
#include "common/domain/task_status.hpp"
#include "common/domain/task_verb.hpp"
#include "worker/base/json_reader.hpp"
#include "worker/journal/journal.hpp"

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace rollout {

/// A new task, as a gateway has parsed and checked it.
struct submission {
    task_kind kind = task_kind::deploy;
    std::string task_id;
    std::string model_id;
    std::string parent_id;
    json_ptr config;
    client_identity by = {}; ///< the client that asks
};

/// A client's verb for a task.
struct steer_request {
    task_kind kind = task_kind::deploy;
    std::string task_id;
    task_verb verb = task_verb::cancel;
    std::string new_task_id; ///< the client's choice for the task that the verb creates; empty: none
    client_identity by = {}; ///< the client that asks

    /// The revisions at which the client wants the task to be steered; nothing: at any.
    std::optional<std::vector<std::uint64_t>> only_at = std::nullopt;
};

/// The reason why a submission created nothing, as a problem for the client.
struct rejection {
    int status = 500;
    std::string detail;
    std::vector<json_fault> errors;
    unsigned retry_after_s = 0;
};

/// The result of a request.
struct request_answer {
    const task_row *task = nullptr; ///< set if the request was accepted; else see `refused`
    bool created = false;
    rejection refused;
};
using answer_fn = std::function<void(const request_answer &)>;

} // namespace rollout
