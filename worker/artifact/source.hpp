// What a source's text means, and which sources an operator allows. Text only: no look at the file system.
#pragma once

#include "worker/outcome.hpp"

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

/// Is the one path the other, or under it? Whole components count: `/srv/models-old` is not under `/srv/models`.
bool is_same_or_under(std::string_view path, std::string_view folder) noexcept;

/// The folders and files that an `allow` list's `file://` members name; what is no `file://` source is left out.
std::vector<file_source> allowed_paths(const std::vector<std::string> &allow);

} // namespace rollout
