#include "common/link/version.hpp"

#include <algorithm>

namespace rollout {

protocol_range protocols_of(const json_t *hello) noexcept
{
    const json_int_t newest = json_number(hello, "protocol");
    return {json_number(hello, "protocol_oldest", newest), newest};
}


void put_protocols(json_t *hello, const protocol_range &spoken)
{
    json_put(hello, "protocol", json_made(json_integer(spoken.newest)));
    json_put(hello, "protocol_oldest", json_made(json_integer(spoken.oldest)));
}


std::optional<json_int_t> common_protocol(const protocol_range &here, const protocol_range &there) noexcept
{
    const json_int_t newest = std::min(here.newest, there.newest);
    if (newest < std::max(here.oldest, there.oldest)) {
        return std::nullopt;
    }
    return newest;
}


std::string format_versions(const protocol_range &spoken)
{
    return spoken.oldest == spoken.newest
               ? "version " + std::to_string(spoken.newest)
               : "versions " + std::to_string(spoken.oldest) + " to " + std::to_string(spoken.newest);
}

} // namespace rollout
