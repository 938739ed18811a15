// A request's body through parse_task_request, as text that a test can compare.
#pragma once

#include "module/api/task_request.hpp"

#include <optional>
#include <string>
#include <string_view>

/// What became of a body.
struct parsed_request {
    std::optional<rollout::task_request> request;
    rollout::problem fault;

    /// "422 /model_id: is missing; /task_id: …", or "accepted".
    std::string faults() const
    {
        if (request) {
            return "accepted";
        }
        std::string text = std::to_string(fault.status);
        const char *before = " ";
        for (const auto &error : fault.errors) {
            text += before + error.pointer + ": " + error.detail;
            before = "; ";
        }
        return text;
    }

    std::string config() const { return request ? request->config : faults(); }
};

inline parsed_request parse(rollout::task_kind kind, std::string_view body,
                            std::optional<std::string_view> idempotency_key = std::nullopt)
{
    auto parsed = rollout::parse_task_request(kind, body, idempotency_key);
    parsed_request out;
    if (auto *request = std::get_if<rollout::task_request>(&parsed)) {
        out.request = std::move(*request);
    } else {
        out.fault = std::get<rollout::problem>(std::move(parsed));
    }
    return out;
}

inline parsed_request deployment(std::string_view body,
                                 std::optional<std::string_view> idempotency_key = std::nullopt)
{
    return parse(rollout::task_kind::deploy, body, idempotency_key);
}

inline parsed_request deletion(std::string_view body, std::optional<std::string_view> idempotency_key = std::nullopt)
{
    return parse(rollout::task_kind::remove, body, idempotency_key);
}
