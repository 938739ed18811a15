// The last known routes on disk (`rollout_zone … state=FILE`), so that an nginx restarted while rolloutd is away still
// routes. A JSON object: {"format": "rollout-routes", "version": 1, "journal": …, "revision": N, "routes": […]}.
#pragma once

#include "module/nginx/ngx.hpp"

#include <cstdint>
#include <optional>
#include <string>

namespace rollout {

class shared_zone;

/// Reads the routes into fresh memory, and removes what killed processes have left beside the file. A missing file is none; a damaged or foreign one is reported and left aside. In
/// nginx's master process, before there are others.
void read_state_file(shared_zone &zone, ngx_log_t *log);

/// What a state file says before its routes.
struct state_head {
    std::string journal;
    std::uint64_t revision = 0; ///< of rolloutd's routes
};

/// The file's text for the routes as they are. Takes no lock: a route that changes meanwhile is there as it was, or as it is. Nothing
/// when a process that was killed while it wrote is in the way: the next writer repairs that.
std::optional<std::string> render_state(const shared_zone &zone, const state_head &head);

/// A write of the state file.
struct state_write {
    std::string path;
    std::string beside; ///< the file that gets the name once it is whole
    state_head head;
    std::uint64_t number = 0;       ///< of shared_zone::begin_state_write
    bool removes_leftovers = false; ///< of killed processes, beside the file
};

/// A write by this process that begins now. Takes the writers' lock for a moment; nothing when it cannot be had.
std::optional<state_write> make_state_write(shared_zone &zone);

/// What became of a write.
struct state_written {
    enum class result {
        yes,     ///< this file has the name, or one that another process began to write later
        again,   ///< begin anew: it may have taken the place of a later one
        blocked, ///< begin anew once a writer has repaired the zone
        failed,  ///< and the file that was there is removed, or emptied: nobody shall take it for the newest
    } how = result::failed;
    int cause = 0; ///< of a failure, an errno
    int cause_it_stays =
        0; ///< the errno with which the file that was there could not be removed, nor emptied; 0: it is gone
};

/// Renders the routes, writes them beside the file, syncs, renames, and syncs the folder. May take as long as the disk does: on a
/// thread of its own, which needs nothing of nginx's, or in a process that ends.
state_written write_state(shared_zone &zone, const state_write &what) noexcept;

} // namespace rollout
