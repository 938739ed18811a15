// A model with the routes that a test wants.
#pragma once

#include "worker/domain/model.hpp"

#include <optional>
#include <string>
#include <utility>
#include <vector>

/// One that was written with that revision. All routes are of one model; none of them: it has no route any more.
inline rollout::model model_with(const std::string &model_id, std::uint64_t revision,
                                 const std::vector<rollout::route> &routes = {})
{
    rollout::model made;
    made.model_id = model_id;
    made.route_revision = revision;
    for (const auto &part : routes) {
        for (const auto &[slot, place] : {std::pair{&part.blue, &made.blue}, std::pair{&part.green, &made.green}}) {
            if (!*slot) {
                continue;
            }
            if (!*place) {
                place->emplace();
            }
            (*place)->revision = (*slot)->revision;
            (*place)->upstream = (*slot)->upstream;
            (*place)->copies.push_back({(*slot)->model, {part.part}, nullptr, (*slot)->peers});
        }
        made.weight = part.weight;
    }
    return made;
}
