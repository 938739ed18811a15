#include "module/api/etag_list.hpp"

namespace rollout {

namespace {

void skip_blanks(std::string_view &text, std::string_view blanks) noexcept
{
    const auto first = text.find_first_not_of(blanks);
    text.remove_prefix(first == std::string_view::npos ? text.size() : first);
}

} // namespace


bool names_etag(std::string_view list, std::string_view etag, compared comparison) noexcept
{
    skip_blanks(list, " \t");
    if (list.substr(0, list.find_last_not_of(" \t") + 1) == "*") {
        return true;
    }
    bool found = false;
    each_etag(list, [&](std::string_view entry, bool is_weak) {
        found = entry == etag && (comparison == compared::weakly || !is_weak);
        return !found;
    });
    return found;
}


void each_etag(std::string_view list, const function_ref<bool(std::string_view etag, bool is_weak)> &visit)
{
    for (;;) {
        skip_blanks(list, " \t,");
        const bool is_weak = list.starts_with("W/");
        list.remove_prefix(is_weak ? 2 : 0);
        const auto end = list.starts_with('"') ? list.find('"', 1) : std::string_view::npos;
        if (end == std::string_view::npos) {
            return;
        }
        const auto entry = list.substr(0, end + 1);
        list.remove_prefix(end + 1);
        if (!visit(entry, is_weak)) {
            return;
        }
        skip_blanks(list, " \t");
        if (!list.starts_with(',')) {
            return;
        }
    }
}

} // namespace rollout
