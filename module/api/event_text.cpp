#include "module/api/event_text.hpp"

#include "common/base/text.hpp"

#include <algorithm>

namespace rollout {

namespace {

/// Enough to tell one memory from another.
constexpr std::size_t gateway_characters = 8;

} // namespace


std::string event_id::text() const
{
    return std::string(gateway.substr(0, gateway_characters)) + '-' + std::to_string(sequence);
}


std::optional<std::uint64_t> sequence_of(std::string_view id, std::string_view gateway) noexcept
{
    std::uint64_t sequence = 0;
    if (next_part(id, '-') != gateway.substr(0, gateway_characters) || !read_number(id, sequence)) {
        return std::nullopt;
    }
    return sequence;
}


std::string event_text(const event_id &id, std::string_view event, std::initializer_list<std::string_view> data)
{
    std::string text = "id: " + id.text() + "\nevent: ";
    text.append(event).append("\ndata: ");
    const auto begin = static_cast<std::ptrdiff_t>(text.size());
    for (const auto part : data) {
        text.append(part);
    }
    std::replace_if(
        text.begin() + begin, text.end(), [](char c) { return c == '\n' || c == '\r'; }, ' ');
    return text.append("\n\n");
}

} // namespace rollout
