#include "common/link/submission_line.hpp"

#include "common/base/text.hpp"
#include "common/domain/identifiers.hpp"

namespace rollout {

namespace {

/// Not valid as a task's id.
constexpr std::string_view no_parent = ".";

} // namespace


void append_line(std::string &lines, const submission_line &from)
{
    std::string line = "\n" + std::to_string(from.id);
    for (const auto word : {kind_name(from.kind), from.task_id, from.model_id,
                            from.parent_id.empty() ? no_parent : from.parent_id, from.config}) {
        line.append(1, ' ').append(word);
    }
    lines += line.append(1, '\t').append(from.by);
}


std::optional<submission_line> read_submission(std::string_view line) noexcept
{
    const auto next_word = [&line] { return next_part(line, ' '); };
    submission_line to;
    const auto id = next_word();
    const auto kind = kind_from(next_word());
    to.task_id = next_word();
    to.model_id = next_word();
    to.parent_id = next_word();
    to.config = next_part(line, '\t');
    to.by = line;
    if (to.parent_id == no_parent) {
        to.parent_id = {};
    } else if (!is_task_id(to.parent_id)) {
        return std::nullopt;
    }
    if (!read_number(id, to.id) || !kind || !is_task_id(to.task_id) || !is_model_id(to.model_id)) {
        return std::nullopt;
    }
    to.kind = *kind;
    return to;
}

} // namespace rollout
