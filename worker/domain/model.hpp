// What rolloutd knows of a model: which revisions of it stand where, and which of them has the traffic.
#pragma once

#include "common/base/json.hpp"
#include "common/domain/route.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace rollout {

/// A model as its inference server knows it. Parts of a revision that come from the same source share one.
struct served_model {
    std::string model;              ///< the name that the server knows
    std::vector<std::string> parts; ///< which find it there; one without a name where the model has no parts
    std::shared_ptr<const json_t> server_config; ///< handed to the server's load call; null: none

    // Of a backend of several servers, by their peers.

    std::optional<std::vector<std::string>> peers =
        std::nullopt;                     ///< that have it, as last known; nothing: not known, so all
    std::vector<std::string> barred = {}; ///< that failed its smoke test: no traffic before they have loaded it anew
};

/// A revision of a model on an inference server.
struct served_revision {
    std::uint64_t revision = 0;
    std::string backend;              ///< its name in rolloutd.json
    std::string upstream;             ///< where the gateway finds it
    std::vector<served_model> copies; ///< one, but for a model of several parts
    bool keep_files = false;          ///< when it is retired: unloaded, but its files stay
    bool stage_begun = false;         ///< what stands under its name in the server's repository may be its files
    bool load_begun = false;          ///< the server may have it in memory
    bool was_kept = false;            ///< and will be again if the deletion that has begun is taken back
    std::vector<std::string> owing =
        {}; ///< servers that were down when all others had unloaded it: until they have, its files stay
    std::uint64_t left = 0; ///< the traffic, as so many-th of the model's revisions; 0: not yet

    /// Of all copies, sorted.
    std::vector<std::string> parts() const;

    /// The names on the server, for a person.
    std::string names() const;
};

/// Kept by the journal and by the scheduler's memory; changed by the one task that runs for the model.
struct model {
    std::string model_id;
    std::uint64_t last_revision = 0;         ///< a number is given once
    std::optional<served_revision> blue;     ///< has the traffic
    std::optional<served_revision> green;    ///< proven ready, has its share of it
    std::optional<served_revision> incoming; ///< on its way to be green
    unsigned weight = 0;                     ///< green's share, percent
    std::uint64_t former = 0;                ///< the old blue's revision while the new one is watched; 0: no watch
    std::vector<served_revision> retired;    ///< out of the traffic, still to be taken off the server
    std::vector<served_revision> kept;       ///< out of the traffic, and to stay there (`old`: archive, keep)
    std::uint64_t route_revision = 0;        ///< the journal's counter when the route last changed
};

/// The revision of that number, wherever it stands; null if it stands nowhere.
served_revision *find_revision(model &of, std::uint64_t revision);

/// The revisions that are to be loaded now: blue, green, the old blue while the new one is watched, and what is kept
/// loaded. What is on its way in or out is its task's.
std::vector<const served_revision *> loaded_revisions(const model &of);

/// Is there anything of the model on a server?
bool is_placed(const model &of) noexcept;

/// Blue leaves the traffic to another revision.
void note_leaving(model &of);

/// The revision that served before blue did, if it is kept; null where there is none to go back to.
const served_revision *former_revision(const model &of);

/// Of what is kept, and of what is retired and will be kept, those beyond `most` that left the traffic first are to be removed:
/// they are among `retired` afterwards, without `keep_files`.
void bound_kept(model &of, std::size_t most);

/// The retired revisions that are to be taken off their servers now: not the old blue while the new one is watched.
std::vector<const served_revision *> revisions_to_take_off(const model &of);

/// Without the copies whose names on the server are those of a revision that is not retired: where model_name has no
/// {revision}, what stands there now is not what was retired.
served_revision without_names_in_use(const model &of, served_revision retired);

/// A retired revision is off its server; one with `keep_files` is among `kept` now.
void note_taken_off(model &of, std::uint64_t revision);

/// A revision of which something is gone from its server, or whose server does not answer.
struct lost_revision {
    std::uint64_t revision = 0;
    bool unreachable = false; ///< the server does not answer; nothing else is known to be wrong
    bool partial = false;     ///< other servers of its backend have it: its clients do not notice
    bool reloading = false;   ///< it is being loaded again; else it waits for its turn, or for the next attempt
    std::string detail;       ///< a sentence
};

/// The routes that the gateways are to follow: one for each part of blue and of green, without a target for a part of
/// `before` that neither has any more. A model that has no traffic has one route, which says so.
std::vector<route> routes_of(const model &from, const std::vector<route> &before = {});

json_ptr model_to_json(const model &from);

/// Nothing where it is no object, or a weight, an upstream or a name in it is invalid.
std::optional<model> model_from_json(const json_t *from);

} // namespace rollout
