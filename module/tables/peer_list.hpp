// The servers that have a revision, as one text in shared memory: a line feed before each peer, or a single one if no
// server has it. Equal lists have the same text, and the same hash.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace rollout::peer_list {

/// Returns an empty text for no list, which stands for all servers.
std::string text_of(const std::optional<std::vector<std::string>> &peers);

/// The reverse.
std::optional<std::vector<std::string>> peers_of(std::string_view text);

std::uint64_t hash_of(std::string_view text) noexcept;

/// Calls `visit` with each peer.
template <class Visit>
void each(std::string_view text, Visit visit)
{
    while (!text.empty()) {
        text.remove_prefix(1); // the line feed
        const auto peer = text.substr(0, text.find('\n'));
        if (!peer.empty()) {
            visit(peer);
        }
        text.remove_prefix(peer.size());
    }
}

} // namespace rollout::peer_list
