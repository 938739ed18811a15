#include "module/tables/client_table.hpp"

namespace rollout {

namespace {

constexpr std::uint32_t window_s = 10;
constexpr std::size_t client_probes = 8;


/// Returns the entry that `is_it` finds, or else the least recently used of the probed entries.
template <class Table, class IsIt>
auto &find_or_oldest(Table &table, std::uint64_t hash, IsIt is_it, bool &found) noexcept
{
    auto *oldest = &table[hash % table.size()];
    for (std::size_t i = 0; i < client_probes; ++i) {
        auto &entry = table[(hash + i) % table.size()];
        if (is_it(entry)) {
            found = true;
            return entry;
        }
        if (entry.requests.window < oldest->requests.window) {
            oldest = &entry;
        }
    }
    found = false;
    return *oldest;
}


/// Spreads hashes that may be close together, as those of addresses are.
std::uint64_t mixed(std::uint64_t model, std::uint64_t client) noexcept
{
    std::uint64_t hash = model ^ (client * 0x9e3779b97f4a7c15ULL);
    hash ^= hash >> 32;
    return hash * 0xd6e8feb86659fd93ULL;
}

} // namespace


/// Windows are numbered from 1: an entry of window 0 has never been used.
void client_table::recent::turn(std::uint32_t now_s) noexcept
{
    const std::uint32_t current = now_s / window_s + 1;
    if (current == window) {
        return;
    }
    before = current == window + 1 ? now : 0;
    now = 0;
    window = current;
}


bool client_table::admit(std::uint64_t model, std::uint64_t client, slot which, std::uint32_t now_s) noexcept
{
    bool known = false;
    auto &of_model = find_or_oldest(
        models_, mixed(model, 0), [&](const auto &entry) { return entry.model == model; }, known);
    if (!known) {
        of_model = {};
        of_model.model = model;
    }
    auto &of_client = find_or_oldest(
        clients_, mixed(model, client),
        [&](const auto &entry) { return entry.model == model && entry.client == client; }, known);
    if (!known) {
        of_client = {};
        of_client.model = model;
        of_client.client = client;
    }
    of_model.requests.turn(now_s);
    of_client.requests.turn(now_s);

    ++of_model.requests.now;
    ++of_client.requests.now;
    const bool is_in_clump = now_s < of_client.clump_ends_s[static_cast<std::size_t>(which)];
    const bool is_the_traffic = of_client.requests.sum() * share_of_traffic >= of_model.requests.sum();
    return !is_in_clump || is_the_traffic;
}


void client_table::failed(std::uint64_t model, std::uint64_t client, slot which, std::uint32_t now_s) noexcept
{
    bool known = false;
    auto &of_client = find_or_oldest(
        clients_, mixed(model, client),
        [&](const auto &entry) { return entry.model == model && entry.client == client; }, known);
    if (known) {
        of_client.clump_ends_s[static_cast<std::size_t>(which)] = now_s + clump_s;
    }
}

} // namespace rollout
