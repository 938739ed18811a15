#include "common/domain/client_identity.hpp"

#include "common/base/text.hpp"
#include "common/domain/limits.hpp"

namespace rollout {

std::string line_of(const client_identity &from)
{
    std::string line = clean_text(from.address, limits::requester_characters);
    for (const std::string *value : {&from.user, &from.certificate}) {
        line.append(1, '\t').append(clean_text(*value, limits::requester_characters));
    }
    return line;
}


client_identity client_identity_from_line(std::string_view line)
{
    client_identity to;
    for (std::string *value : {&to.address, &to.user, &to.certificate}) {
        *value = clean_text(next_part(line, '\t'), limits::requester_characters);
    }
    return to;
}

} // namespace rollout
