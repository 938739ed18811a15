// What both processes know of tasks: kinds, states, and their names.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace rollout {

enum class task_kind : std::uint8_t { deploy, remove };

/// The last four are final.
enum class task_status : std::uint8_t { pending, in_progress, completed, failed, refused, canceled };

inline constexpr std::size_t task_kinds = 2;
inline constexpr std::size_t task_statuses = 6;

/// How a client reads the states: in the project's own names, or EmbeddingStudio's.
enum class dialect : std::uint8_t { standard, embedding_studio };

constexpr bool is_final(task_status status) noexcept
{
    return status >= task_status::completed;
}

/// Returns `deploy` or `delete`: the name in the routes, the frames and the journal.
std::string_view kind_name(task_kind kind) noexcept;
std::optional<task_kind> kind_from(std::string_view name) noexcept;

std::string_view status_name(task_status status, dialect words = dialect::standard) noexcept;

/// Frames and the journal have no dialect: they use the standard names.
std::optional<task_status> status_from(std::string_view name, dialect words = dialect::standard) noexcept;

} // namespace rollout
