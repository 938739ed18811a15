#include "common/link/task_line.hpp"

#include "common/base/text.hpp"
#include "common/domain/identifiers.hpp"
#include "common/domain/limits.hpp"

namespace rollout {

void append_task_line(std::string &to, const task_line &from)
{
    const auto begin = to.size();
    to.append(kind_name(from.kind));
    to.append(1, ' ').append(std::to_string(from.sequence));
    to.append(1, ' ').append(std::to_string(from.revision));
    to.append(1, ' ').append(status_name(from.status));
    to.append(1, ' ').append(from.task_id);
    to.append(1, ' ').append(from.model_id);
    to.append(1, ' ').append(from.document);
    for (auto at = to.find('\n', begin); at != std::string::npos; at = to.find('\n', at)) {
        to[at] = ' ';
    }
}


std::optional<task_line> read_task_line(std::string_view line) noexcept
{
    const auto next_word = [&line] { return next_part(line, ' '); };
    task_line to;
    const auto kind = kind_from(next_word());
    const auto sequence = next_word();
    const auto revision = next_word();
    const auto status = status_from(next_word());
    to.task_id = next_word();
    to.model_id = next_word();
    to.document = line;
    if (!kind || !status || !read_number(sequence, to.sequence) || !read_number(revision, to.revision) ||
        !is_task_id(to.task_id) || !is_model_id(to.model_id) || line.size() > limits::document_bytes) {
        return std::nullopt;
    }
    to.kind = *kind;
    to.status = *status;
    return to;
}

} // namespace rollout
