// Who asks for a change: what nginx knows of the client, on its way to rolloutd's audit.
//
// In `submit` and `steer` frames: "by": {"address": "10.0.0.7", "user": "ann", "certificate": "CN=ci,O=Example"}; a member
// that is not known is left out, and so is all of it by a gateway of an earlier version.
#pragma once

#include "common/json.hpp"

#include <string>

namespace rollout {

struct requester {
    std::string address;     ///< nginx's $remote_addr
    std::string user;        ///< nginx's $remote_user: who the client says it is, proven where auth_basic asks
    std::string certificate; ///< the subject of a client certificate that nginx has verified

    friend bool operator==(const requester &, const requester &) = default;
};

/// Each value cleaned (text.hpp) and cut at limits::requester_characters.
json_ptr requester_to_json(const requester &from);

/// The same care: the other end is another process.
requester requester_from_json(const json_t *from);

} // namespace rollout
