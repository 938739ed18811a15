// Server-sent events as text (the HTML standard, section 9.2). Independent of nginx.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

namespace rollout {

/// Where a client is in the events of a gateway's memory: the beginning of the memory's id, and an event's number.
struct event_id {
    std::string_view gateway; ///< the memory's id
    std::uint64_t sequence = 0;

    /// Returns the id as clients see it: 3f2a91c0-184467.
    std::string text() const;
};

/// Returns the event's number in an id as clients send it back; nothing if it is malformed, or of another memory.
std::optional<std::uint64_t> sequence_of(std::string_view id, std::string_view gateway) noexcept;

/// Returns an event with the parts as its data, which is JSON. A line break between its tokens becomes a space: it
/// would end the data.
std::string event_text(const event_id &id, std::string_view event, std::initializer_list<std::string_view> data);

} // namespace rollout
