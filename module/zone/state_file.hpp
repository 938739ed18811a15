// The last known routes on disk (`rollout_zone … state=FILE`), with which an nginx that is restarted while rolloutd
// is down can route. The file is a JSON object:
//
//     {"format": "rollout-routes", "version": 1, "journal": …, "revision": N, "routes_until": MS, "routes": […]}
//
// `routes_until`, in milliseconds since 1970 (UTC), is when nginx is to route no more unless rolloutd has said a later
// time; missing: never.
#pragma once

#include "module/nginx/ngx.hpp"

#include <cstdint>
#include <optional>
#include <string>

namespace rollout {

class shared_zone;

/// Reads the routes into fresh memory, and removes the temporary files of killed processes. A missing file means no
/// routes; a damaged or foreign one is reported and ignored. Runs in nginx's master process, before there are others.
void read_state_file(shared_zone &zone, ngx_log_t *log);

/// The header of a state file.
struct state_head {
    std::string journal;
    std::uint64_t revision = 0;     ///< of rolloutd's routes
    std::uint64_t routes_until = 0; ///< in milliseconds since 1970, UTC; 0: for ever
};

/// Returns the file's text for the current routes. Takes no lock: a route that changes during the call has its old or
/// its new state. Returns nothing if a process was killed while it wrote to the zone: the next writer repairs that.
std::optional<std::string> render_state(const shared_zone &zone, const state_head &head);

/// A write of the state file.
struct state_write {
    std::string path;
    std::string beside; ///< the temporary file, which is renamed once it is complete
    state_head head;
    std::uint64_t number = 0;       ///< from shared_zone::begin_state_write
    bool removes_leftovers = false; ///< also removes temporary files of killed processes
};

/// Returns a write by this process that begins now. Takes the writers' lock for a moment; returns nothing if that
/// fails.
std::optional<state_write> make_state_write(shared_zone &zone);

/// The result of a write.
struct state_written {
    enum class result {
        yes,     ///< this file is the state file, or a later one of another process is
        again,   ///< start over: it may have replaced a later one
        blocked, ///< start over once a writer has repaired the zone
        failed,  ///< the previous file is removed or emptied as well, so that it is not taken for the newest
    } is = result::failed;
    int cause = 0; ///< the errno of a failure
    int cause_it_stays =
        0; ///< the errno with which the previous file could be neither removed nor emptied; 0: it is gone
};

/// Renders the routes, writes them to a temporary file, syncs and renames it, and syncs the folder. May take as long
/// as the disk does: runs on its own thread, which uses nothing of nginx's, or in a process that ends.
state_written write_state(shared_zone &zone, const state_write &what) noexcept;

} // namespace rollout
