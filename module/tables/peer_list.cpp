#include "module/tables/peer_list.hpp"

#include "common/base/hash.hpp"

namespace rollout::peer_list {

std::string text_of(const std::optional<std::vector<std::string>> &peers)
{
    std::string text;
    if (peers && peers->empty()) {
        return "\n";
    }
    if (peers) {
        for (const auto &peer : *peers) {
            text += '\n';
            text += peer;
        }
    }
    return text;
}


std::optional<std::vector<std::string>> peers_of(std::string_view text)
{
    if (text.empty()) {
        return std::nullopt;
    }
    std::vector<std::string> peers;
    each(text, [&peers](std::string_view peer) { peers.emplace_back(peer); });
    return peers;
}


std::uint64_t hash_of(std::string_view text) noexcept
{
    return fnv1a().add(text).value();
}

} // namespace rollout::peer_list
