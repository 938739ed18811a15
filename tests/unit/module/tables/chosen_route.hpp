// A route_table in memory of its own, and its choices as text.
#pragma once

#include "module/tables/route_table.hpp"
#include "tests/unit/module/tables/table_memory.hpp"

#include <string>
#include <string_view>

inline rollout::route_target target_number(std::uint64_t revision)
{
    return {revision, "upstream-" + std::to_string(revision), "model__r" + std::to_string(revision)};
}

/// Blue is revision 1, green revision 2.
inline rollout::route split_route(std::string_view model_id, unsigned weight, std::string_view part = "")
{
    return {std::string(model_id), std::string(part), target_number(1), target_number(2), weight};
}

struct own_routes {
    table_memory memory;
    rollout::record_store store{memory.get()};
    rollout::route_table table{store};

    /// "blue 1 upstream-1 model__r1", or "(none)".
    std::string choose(const rollout::route_table::question &asked) const
    {
        std::string bytes;
        rollout::route_choice choice;
        const auto found = table.choose(
            asked,
            [&bytes](std::size_t size) {
                bytes.assign(size, '?');
                return reinterpret_cast<unsigned char *>(bytes.data());
            },
            choice);
        if (found != rollout::record_store::found::yes) {
            return found == rollout::record_store::found::no ? "(none)" : "(busy)";
        }
        return std::string(slot_name(choice.which)) + " " + std::to_string(choice.revision) + " " +
               std::string(choice.upstream) + " " + std::string(choice.model);
    }

    bool is_green(std::string_view model_id, std::string_view key) const
    {
        return choose({model_id, "", key, false, 0}).starts_with("green");
    }
};
