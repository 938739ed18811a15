// A client's verb for a task on its way to the rolloutd that carries out the tasks, and the answer on its way back: texts in
// etcd, which a rolloutd of another version may have written.
#pragma once

#include "worker/scheduler/requests.hpp"

#include <optional>
#include <string>
#include <string_view>

namespace rollout {

std::string text_of(const steer_request &wanted);

/// Nothing if the text cannot be read. Members that are not known are passed over.
std::optional<steer_request> parse_remote_verb(std::string_view text);

/// A request's answer that owns its row.
struct remote_answer {
    std::optional<task_row> row; ///< set if the request was accepted; else see `refused`
    bool created = false;
    rejection refused;

    request_answer view() const { return {row ? &*row : nullptr, created, refused}; }
};

std::string text_of(const request_answer &answer);
std::optional<remote_answer> parse_remote_answer(std::string_view text);

} // namespace rollout
