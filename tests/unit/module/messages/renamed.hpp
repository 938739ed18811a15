// What a name reader makes of a body.
#pragma once

#include "module/messages/name_reader.hpp"

#include <string>
#include <string_view>

/// What goes on of a body when `from` is renamed, in pieces of that size; a fault's sentence when it is refused.
inline std::string renamed(rollout::name_reader &reader, std::string_view body, std::string_view from,
                           std::string_view to, std::size_t size)
{
    std::string out;
    bool holds = false;
    while (!body.empty()) {
        auto piece = body.substr(0, size);
        body.remove_prefix(piece.size());
        while (!piece.empty()) {
            const auto step = reader.read(piece);
            out += piece.substr(0, step.pass);
            piece.remove_prefix(step.pass + step.hold);
            holds = holds || step.hold != 0;
            if (step.what == rollout::name_reader::found::name) {
                std::string memory(reader.room() + to.size(), '\0');
                out += reader.name() == from ? memory.substr(0, reader.write(to, memory.data())) : reader.held();
                holds = false;
            } else if (step.what == rollout::name_reader::found::refuse) {
                if (reader.fault() != nullptr) {
                    return std::string(reader.fault()->sentence);
                }
            }
        }
    }
    if (holds) {
        out += reader.held();
    }
    const auto *fault = reader.finish();
    return fault != nullptr ? std::string(fault->sentence) : out;
}
