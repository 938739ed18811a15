// The identity of a client that asks for a change: what nginx knows of it, for rolloutd's audit.
//
// In a line of `submit` and `steer` frames (frame.hpp): ADDRESS<tab>USER<tab>CERTIFICATE, each of them empty if
// unknown.
#pragma once

#include <string>
#include <string_view>

namespace rollout {

struct client_identity {
    std::string address;     ///< nginx's $remote_addr
    std::string user;        ///< nginx's $remote_user: the client's claim, verified if auth_basic requires it
    std::string certificate; ///< the subject of a client certificate that nginx has verified

    friend bool operator==(const client_identity &, const client_identity &) = default;
};

/// Returns the line. Each value is cleaned (text.hpp), so that it contains no tab and no line feed, and is cut to
/// limits::requester_characters.
std::string line_of(const client_identity &from);

/// Parses a line with the same cleaning, because the other end is another process.
client_identity client_identity_from_line(std::string_view line);

} // namespace rollout
