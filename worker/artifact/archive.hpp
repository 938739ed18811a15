// Unpacks a model that comes as a single file: a tar archive in any compression, or a .zip, read by libarchive. Other
// kinds of archives are refused. Archives are not trusted: nothing in one reaches beyond the model's folder, and an
// archive is inspected completely before the first file is created.
//
// An archive may contain files and folders under relative paths without `..`, and links to files that are in it, which
// become files. Refused are absolute paths, links that lead outside, to folders or to nothing, devices, FIFOs, sockets,
// several files of the same name, encrypted files, and anything beyond the bounds. Owners, times and modes are not kept,
// except whether a file is executable. Files that an operating system left behind (left_behind.hpp) are skipped.
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
    int fd = -1;                   ///< open for reading, and seekable; its offset is neither used nor changed
    std::string name;              ///< of the file; determines the kind
    std::string shown;             ///< for messages
    proven_file *proven = nullptr; ///< reads the same file, if that has a checksum; else null
};

/// The contents of an archive that has been inspected.
struct archive_contents {
    std::uint64_t files = 0;
    std::uint64_t bytes = 0;
};

/// Inspects the whole archive. Writes nothing.
outcome inspect_archive(const archive_source &source, tree_bounds bounds, const stop_flag &stop,
                        archive_contents &into);

/// Creates the archive's files in `folder`, each under its path in the archive. The folder must exist, be empty, and be
/// used by nobody else. After a failure some of the files are there.
outcome unpack(const archive_source &source, tree_bounds bounds, const std::filesystem::path &folder,
               const stop_flag &stop);

} // namespace rollout
