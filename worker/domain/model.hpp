// What rolloutd knows of a model: the state of its revisions, and which of them has the traffic.
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
    std::string model;              ///< its name on the server
    std::vector<std::string> parts; ///< the parts served by it; one without a name if the model has no parts
    std::shared_ptr<const json_t> server_config; ///< passed to the server's load call; null: none

    // For a backend of several servers, by peer.

    std::optional<std::vector<std::string>> peers =
        std::nullopt;                     ///< have it, as last known; no value: not known, so all
    std::vector<std::string> barred = {}; ///< have failed its smoke test: no traffic until they have loaded it again
};

/// A revision of a model on an inference server.
struct served_revision {
    std::uint64_t revision = 0;
    std::string backend;              ///< its name in rolloutd.json
    std::string upstream;             ///< where the gateway finds it
    std::vector<served_model> copies; ///< one, unless the model has several parts
    bool keep_files = false;          ///< when it is retired: it is unloaded, but its files stay
    bool stage_begun = false;         ///< the files under its name in the server's repository may be its own
    bool load_begun = false;          ///< the server may have it in memory
    bool was_kept = false;            ///< and will be kept again if the deletion under way is undone
    bool drained = false;             ///< retired, and nothing has to be waited for any more before it is unloaded
    std::vector<std::string> owing =
        {}; ///< servers that were down when all others unloaded it; its files stay until these have too
    std::uint64_t left = 0; ///< its position in the order in which revisions left the traffic; 0: not yet

    /// Returns the parts of all copies, sorted.
    std::vector<std::string> parts() const;

    /// Returns the names on the server, for a person.
    std::string names() const;
};

/// Kept in the journal and in the scheduler's memory; changed only by the one task that runs for the model.
struct model {
    std::string model_id;
    std::uint64_t last_revision = 0;         ///< no number is used twice
    std::optional<served_revision> blue;     ///< has the traffic
    std::optional<served_revision> green;    ///< proven ready, has its share of the traffic
    std::optional<served_revision> incoming; ///< becoming green
    unsigned weight = 0;                     ///< green's share, percent
    std::uint64_t former = 0;                ///< the old blue's revision while the new one is watched; 0: no watch
    std::vector<served_revision> retired;    ///< out of the traffic, still to be unloaded and removed
    std::vector<served_revision> kept;       ///< out of the traffic, and kept (`old`: archive, keep)
    std::uint64_t route_revision = 0;        ///< the journal's counter when the route last changed
};

/// Finds the revision of that number, in whatever state; null if there is none.
served_revision *find_revision(model &of, std::uint64_t revision);

/// Returns the revisions that must be loaded now: blue, green, the old blue while the new one is watched, those that are
/// kept loaded, and those that are retired and not drained, as a gateway may still route to them. A revision that is
/// coming or going is its task's matter.
std::vector<const served_revision *> loaded_revisions(const model &of);

/// Returns whether anything of the model is on a server.
bool is_placed(const model &of) noexcept;

/// Records that blue leaves the traffic to another revision.
void note_leaving(model &of);

/// Returns the revision that served before blue, if it is kept; null if there is none to go back to.
const served_revision *former_revision(const model &of);

/// Limits the kept revisions, including retired ones that will be kept, to `most`: those that left the traffic first are
/// to be removed, and are in `retired` afterwards, without `keep_files`.
void bound_kept(model &of, std::size_t most);

/// Records that a retired revision has had its time to drain.
void note_drained(model &of, std::uint64_t revision);

/// Returns the retired revisions that must be unloaded and removed now: not the old blue while the new one is watched.
std::vector<const served_revision *> revisions_to_unload(const model &of);

/// Drops the copies whose names on the server belong to a revision that is not retired: if model_name has no {revision},
/// the server now has that revision under the name.
served_revision without_names_in_use(const model &of, served_revision retired);

/// Records that a retired revision has been unloaded and removed; with `keep_files` it is now in `kept`.
void note_taken_off(model &of, std::uint64_t revision);

/// A revision of which something is missing on its server, or whose server does not answer.
struct lost_revision {
    std::uint64_t revision = 0;
    bool unreachable = false; ///< the server does not answer; nothing else is known to be wrong
    bool partial = false;     ///< other servers of its backend have it: clients do not notice
    bool reloading = false;   ///< it is being reloaded; else it waits for its turn, or for the next attempt
    std::string detail;       ///< a sentence
};

/// Returns the routes that the gateways must follow: one for each part of blue and of green, and one without a target for
/// each part of `before` that neither has any more. A model without traffic has one route, which says so.
std::vector<route> routes_of(const model &from, const std::vector<route> &before = {});

json_ptr model_to_json(const model &from);

/// Empty if it is not an object, or if a weight, an upstream or a name in it is invalid.
std::optional<model> model_from_json(const json_t *from);

} // namespace rollout
