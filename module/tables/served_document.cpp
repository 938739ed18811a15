#include "module/tables/served_document.hpp"

#include <cstddef>

namespace rollout {

namespace {

/// Returns the length of the member `created_by` at the beginning of `rest`, with its comma; 0 if another member is
/// there. rolloutd writes it directly after the status, as an object of strings.
std::size_t length_of_creator(std::string_view rest) noexcept
{
    static constexpr std::string_view member = ",\"created_by\":{";
    if (!rest.starts_with(member)) {
        return 0;
    }
    bool in_text = false;
    for (std::size_t position = member.size(); position < rest.size(); ++position) {
        if (in_text && rest[position] == '\\') {
            ++position;
        } else if (rest[position] == '"') {
            in_text = !in_text;
        } else if (!in_text && rest[position] == '}') {
            return position + 1;
        }
    }
    return 0;
}

} // namespace


std::array<std::string_view, 4> serve_document(const task_record &task, const document_form &form) noexcept
{
    const auto status_at = task.status_at();
    if (status_at == std::string_view::npos) {
        return {task.document};
    }
    auto rest = task.document.substr(status_at + status_name(task.status).size());
    const auto quote = rest.substr(0, 1);
    rest.remove_prefix(quote.size());
    if (!form.identity) {
        rest.remove_prefix(length_of_creator(rest));
    }
    return {task.document.substr(0, status_at), status_name(task.status, form.words), quote, rest};
}

} // namespace rollout
