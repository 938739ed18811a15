#include "ctl/api/event_reader.hpp"

#include <utility>

namespace rollout::ctl {

std::optional<server_event> event_reader::next()
{
    std::size_t begin = 0;
    std::optional<server_event> found;
    for (auto end = unread_.find('\n'); !found && end != std::string::npos; end = unread_.find('\n', begin)) {
        std::string_view line(unread_.data() + begin, end - begin);
        begin = end + 1;
        if (line.ends_with('\r')) {
            line.remove_suffix(1);
        }
        if (!line.empty()) {
            take_line(line);
            continue;
        }
        if (std::exchange(has_data_, false)) {
            found = std::move(event_);
        }
        event_ = {};
    }
    unread_.erase(0, begin);
    return found;
}


void event_reader::take_line(std::string_view line)
{
    const auto colon = line.find(':');
    const auto field = line.substr(0, colon);
    std::string_view value = colon == std::string_view::npos ? std::string_view() : line.substr(colon + 1);
    if (value.starts_with(' ')) {
        value.remove_prefix(1);
    }
    if (field == "event") {
        event_.name = value;
    } else if (field == "data") {
        if (std::exchange(has_data_, true)) {
            event_.data += '\n';
        }
        event_.data += value;
    }
}

} // namespace rollout::ctl
