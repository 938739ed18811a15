// Who asks for a change: what nginx knows of the client, on its way to rolloutd's audit.
//
// In a line of `submit` and `steer` frames (frame.hpp): ADDRESS<tab>USER<tab>CERTIFICATE, each of them empty where it is not known.
#pragma once

#include <string>
#include <string_view>

namespace rollout {

struct client_identity {
    std::string address;     ///< nginx's $remote_addr
    std::string user;        ///< nginx's $remote_user: who the client says it is, proven where auth_basic asks
    std::string certificate; ///< the subject of a client certificate that nginx has verified

    friend bool operator==(const client_identity &, const client_identity &) = default;
};

/// Each value cleaned (text.hpp), so that it holds no tab and no line feed, and cut at limits::requester_characters.
std::string line_of(const client_identity &from);

/// The same care: the other end is another process.
client_identity client_identity_from_line(std::string_view line);

} // namespace rollout
