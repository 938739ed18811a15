// What a source's text means, and which sources an operator allows. Text only: no look at the file system.
#pragma once

#include "worker/async/outcome.hpp"
#include "worker/net/source_url.hpp"

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace rollout {

/// A `file://` source.
struct file_source {
    std::filesystem::path path; ///< absolute, decoded, without `.`, `..` and empty components, no slash at its end
    bool is_folder = false;     ///< it was written with a slash at its end
};

/// Reads `file:///srv/models/123` (RFC 8089: the host is empty or `localhost`, %XX is decoded once). Every trick is
/// refused with a sentence: a component that is empty, `.` or `..`, a slash or a NUL that was encoded, control characters.
result<file_source> parse_file_source(std::string_view source);

/// An `http://` or `https://` source.
struct web_source {
    std::string url;    ///< for libcurl, as it was written
    std::string origin; ///< `https://models.example.com:443`, lower-case, always with the port
    std::string shown;  ///< for sentences: without the query, which may hold a key
    file_source place;  ///< the path, read as a file's
    bool
        is_written_address; ///< the host is `localhost` or an address in digits: whoever wrote it knew where it leads
};

/// Does it begin with http:// or https://? In any case of letters.
bool is_web_source(std::string_view source) noexcept;

/// Reads `https://models.example.com/123/model.onnx?key=value`. Refused with a sentence: a user or a password (it would be
/// seen in the task's document), a fragment, and in the path what parse_file_source refuses.
result<web_source> parse_web_source(std::string_view source);

/// Reads a web source and looks for it under the prefixes of `allow`: the same scheme, host and port, and the path under the
/// prefix's by whole components. The sentence says why it is none. `may_be_local`: the prefix itself is a written address,
/// so that it may lead to a loopback or link-local one.
result<web_source> allowed_web_source(std::string_view source, const std::vector<std::string> &allow,
                                      bool &may_be_local);

/// Why this cannot be a prefix of an `allow` list; empty where it can.
std::string check_prefix(const std::string &prefix);

/// The folders and files that an `allow` list's `file://` members name; what is no `file://` source is left out.
std::vector<file_source> allowed_paths(const std::vector<std::string> &allow);

/// Is the source's text under one of the allowed prefixes (whole path components, no `.`/`..`, no percent tricks)? Empty
/// when it is, else a sentence. What links in the file system make of it is checked by `fetch` itself.
std::string check_source(const std::string &source, const std::vector<std::string> &allow);

} // namespace rollout
