// Parses sources, and checks which ones an operator allows. Works on the text only, without access to the file system.
#pragma once

#include "worker/async/outcome.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace rollout {

/// A `file://` source.
struct file_source {
    std::string path;       ///< absolute, decoded, without `.`, `..` and empty components, no slash at its end
    bool is_folder = false; ///< it was written with a slash at its end
};

/// Parses `file:///srv/models/123` (RFC 8089: the host is empty or `localhost`, %XX is decoded once). Ambiguous URLs are
/// refused with a sentence: components that are empty, `.` or `..`, an encoded slash or NUL, control characters.
result<file_source> parse_file_source(std::string_view source);

/// An `http://` or `https://` source.
struct web_source {
    std::string url;         ///< for libcurl, as it was written
    std::string origin;      ///< `https://models.example.com:443`, lower-case, always with the port
    std::string shown;       ///< for messages: without the query, which may contain a key
    file_source place;       ///< the path, parsed like that of a file
    bool is_written_address; ///< the host is `localhost` or numeric: the author of the URL knew where it leads
};

/// Returns whether the source begins with http:// or https://, ignoring case.
bool is_web_source(std::string_view source) noexcept;

/// Parses `https://models.example.com/123/model.onnx?key=value`. Refused with a sentence: a user or a password (the
/// task's document would show it), a fragment, and in the path anything that parse_file_source refuses.
result<web_source> parse_web_source(std::string_view source);

/// Parses a web source and finds it under one of the prefixes of `allow`: with the same scheme, host and port, and the
/// prefix's path or one below it, by whole components. Fails with a sentence if there is none. `may_be_local`: the prefix
/// itself has a written address, so that the source may lead to a loopback or link-local one.
result<web_source> allowed_web_source(std::string_view source, const std::vector<std::string> &allow,
                                      bool &may_be_local);

/// Returns why this cannot be a prefix in an `allow` list; empty if it can.
std::string check_prefix(const std::string &prefix);

/// Returns the folders and files that the `file://` members of an `allow` list name; ignores the other members.
std::vector<file_source> allowed_paths(const std::vector<std::string> &allow);

/// Checks that the source's text is under one of the allowed prefixes (whole path components, no `.`/`..`, no percent
/// tricks). Returns an empty string if it is, else a sentence. Links in the file system are checked by `fetch` itself.
std::string check_source(const std::string &source, const std::vector<std::string> &allow);

} // namespace rollout
