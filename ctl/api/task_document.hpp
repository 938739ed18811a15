// A task's document as rolloutctl reads it, in any dialect of the gateway. Texts are cleaned (text.hpp), so that none can
// control the terminal.
#pragma once

#include "common/base/json.hpp"
#include "common/domain/task_status.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace rollout::ctl {

struct task_step {
    std::string name;
    std::string state; ///< pending, running, done, failed, skipped
    std::int64_t started_us = 0;
    std::int64_t ended_us = 0;
};

/// A weight of the plan.
struct planned_weight {
    unsigned weight = 0;
    std::uint64_t hold_s = 0;
};

struct task_document {
    task_kind kind = task_kind::deploy;
    task_status status = task_status::pending;
    std::string task_id;
    std::string model_id;
    std::string parent_id;
    std::string created_by; ///< for people; empty: unknown
    std::string detail;
    std::int64_t created_us = 0;
    std::int64_t updated_us = 0;
    std::uint64_t revision = 0; ///< 0: not known yet
    std::string step;
    unsigned weight = 0; ///< percent of the traffic
    std::uint64_t elapsed_ms = 0;
    std::string waits_for;
    std::int64_t hold_ends_us = 0; ///< 0: no hold is under way
    bool paused = false;
    bool cancel_asked = false;
    std::vector<task_step> steps;
    std::vector<planned_weight> plan;
    std::string promote; ///< `auto`, `manual`, or empty
    std::uint64_t watch_s = 0;
    std::shared_ptr<const json_t> gate; ///< `metadata.gate`; null: nothing yet
    std::string text;                   ///< the document as received

    bool waits_for_person() const noexcept { return waits_for == "person"; }
};

/// Returns nothing if the text is not a task's document.
std::optional<task_document> read_task_document(task_kind kind, std::string text);

} // namespace rollout::ctl
