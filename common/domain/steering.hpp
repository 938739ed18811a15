// How a client steers a deployment that exists: POST /deploy/{task_id}/VERB.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace rollout {

enum class steering : std::uint8_t {
    cancel,   ///< a pending task never runs, a running one rolls back
    promote,  ///< past a hold, or a manual promotion
    pause,    ///< the weight stands until `resume`
    resume,   ///< after `pause`
    retry,    ///< a final task again, as a new task
    rollback, ///< a completed deployment: back to the revision before it, as a new task
};

struct steering_word {
    steering verb;
    std::string_view name; ///< in the URI and in the frames
};

inline constexpr std::array steering_words = {
    steering_word{steering::cancel, "cancel"}, steering_word{steering::promote, "promote"},
    steering_word{steering::pause, "pause"},   steering_word{steering::resume, "resume"},
    steering_word{steering::retry, "retry"},   steering_word{steering::rollback, "rollback"},
};

/// Those whose answer is a new task.
constexpr bool makes_a_task(steering verb) noexcept
{
    return verb == steering::retry || verb == steering::rollback;
}

constexpr std::optional<steering> steering_from(std::string_view name) noexcept
{
    for (const auto &[verb, word] : steering_words) {
        if (word == name) {
            return verb;
        }
    }
    return std::nullopt;
}

constexpr std::string_view steering_name(steering verb) noexcept
{
    for (const auto &[one, word] : steering_words) {
        if (one == verb) {
            return word;
        }
    }
    return {};
}

} // namespace rollout
