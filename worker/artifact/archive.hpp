// Unpacks a model that comes as one file: .tar, .tar.gz (.tgz), .tar.zst, .zip, read by libarchive. An archive is somebody
// else's: nothing of it reaches beyond the model's folder, and it is looked through whole before the first file is made.
//
// What it may hold: files and folders under relative paths without `..`, and links to files that it holds itself, which
// become files. Refused: absolute paths, links that lead out, to folders or to nothing, devices, FIFOs, sockets, files by one
// name twice, encrypted files, and what goes over the bounds. Modes, owners and times are not taken over.
//
// One folder at the top that holds the model's folder, as `tar c MODEL` makes it, is left out. What is then no model's folder
// (layout.hpp) becomes version 1, as with a source that is a folder.
#pragma once

#include "worker/artifact/copy_tree.hpp"
#include "worker/artifact/layout.hpp"
#include "worker/outcome.hpp"
#include "worker/thread_work.hpp"

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace rollout {

/// Is a file of that name taken for an archive?
bool is_archive_name(std::string_view name) noexcept;

struct archive_source {
    int fd = -1;       ///< open for reading, and seekable; where it stands is neither used nor changed
    std::string name;  ///< the file's, which says the kind
    std::string shown; ///< for sentences
};

/// What is in an archive, once it has been looked through.
struct archive_contents {
    std::string top;    ///< the folder that is left out; empty: none
    folder_shape shape; ///< of what is at the top then
    std::uint64_t files = 0;
    std::uint64_t bytes = 0;
};

/// Looks through all of it; nothing is written.
outcome look_through(const archive_source &source, tree_bounds bounds, const stop_flag &stop, archive_contents &into);

/// Makes its files in `folder`, which is there and empty, and touched by nobody else. After a failure some of them are there.
outcome unpack(const archive_source &source, const archive_contents &contents, tree_bounds bounds,
               const std::filesystem::path &folder, const stop_flag &stop);

} // namespace rollout
