// How a client steers a deployment that exists: POST /deploy/{task_id}/VERB.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace rollout {

enum class task_verb : std::uint8_t {
    cancel,   ///< a pending task never runs, a running one rolls back
    promote,  ///< ends a hold, or promotes manually
    pause,    ///< the weight stays until `resume`
    resume,   ///< after `pause`
    retry,    ///< runs a final task again, as a new task
    rollback, ///< returns a completed deployment to the revision before it, as a new task
};

struct task_verb_name {
    task_verb verb;
    std::string_view name; ///< in the URI and in the frames
};

inline constexpr std::array task_verb_names = {
    task_verb_name{task_verb::cancel, "cancel"}, task_verb_name{task_verb::promote, "promote"},
    task_verb_name{task_verb::pause, "pause"},   task_verb_name{task_verb::resume, "resume"},
    task_verb_name{task_verb::retry, "retry"},   task_verb_name{task_verb::rollback, "rollback"},
};

/// Returns whether the answer is a new task.
constexpr bool makes_a_task(task_verb verb) noexcept
{
    return verb == task_verb::retry || verb == task_verb::rollback;
}

constexpr std::optional<task_verb> task_verb_from(std::string_view name) noexcept
{
    for (const auto &[verb, word] : task_verb_names) {
        if (word == name) {
            return verb;
        }
    }
    return std::nullopt;
}

constexpr std::string_view verb_name(task_verb verb) noexcept
{
    for (const auto &[known, word] : task_verb_names) {
        if (known == verb) {
            return word;
        }
    }
    return {};
}

/// The answer, a 412, to a verb whose If-Match names another version of the task: the module and rolloutd both compare.
inline constexpr std::string_view task_has_changed =
    "The task has changed since the version that If-Match names; read it again.";

} // namespace rollout
