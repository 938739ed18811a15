// Unpacks a model that comes as one file: a tar archive, however it is compressed, or a .zip, read by libarchive. Any other
// kind of archive is refused. An archive is somebody else's: nothing of it reaches beyond the model's folder, and it is looked
// through whole before the first file is made.
//
// What it may hold: files and folders under relative paths without `..`, and links to files that it holds itself, which
// become files. Refused: absolute paths, links that lead out, to folders or to nothing, devices, FIFOs, sockets, files by one
// name twice, encrypted files, and what goes over the bounds. Owners and times are not taken over, and of modes only whether
// a file can be run. What an operating system left behind (left_behind.hpp) stays out.
#pragma once

#include "worker/async/outcome.hpp"
#include "worker/async/thread_work.hpp"
#include "worker/fs/copy_tree.hpp"

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace rollout {

class proven_file;

struct archive_source {
    int fd = -1;                   ///< open for reading, and seekable; where it stands is neither used nor changed
    std::string name;              ///< the file's, which says the kind
    std::string shown;             ///< for sentences
    proven_file *proven = nullptr; ///< reads the same file, where it has a checksum
};

/// What is in an archive, once it has been looked through.
struct archive_contents {
    std::uint64_t files = 0;
    std::uint64_t bytes = 0;
};

/// Looks through all of it; nothing is written.
outcome inspect_archive(const archive_source &source, tree_bounds bounds, const stop_flag &stop,
                        archive_contents &into);

/// Makes its files in `folder`, which is there and empty, and touched by nobody else, each where it is in the archive. After
/// a failure some of them are there.
outcome unpack(const archive_source &source, tree_bounds bounds, const std::filesystem::path &folder,
               const stop_flag &stop);

} // namespace rollout
