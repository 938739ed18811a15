// Iterates over the entries of an archive, and checks each before the caller sees it.
#pragma once

#include "worker/artifact/archive.hpp"

#include <archive.h>
#include <archive_entry.h>

#include <memory>
#include <set>
#include <string>
#include <string_view>

namespace rollout {

struct archive_file_entry {
    enum class kind { file, folder, link };

    kind is = kind::file;
    std::string path;    ///< relative, without `.`, `..` and empty components
    std::string target;  ///< of a link: likewise, relative to the archive's top
    bool is_run = false; ///< the file is executable by its owner
};

class archive_entries {
  public:
    archive_entries(const archive_source &source, tree_bounds bounds, const stop_flag &stop)
        : source_(source), bounds_(bounds), stop_(stop)
    {
    }

    outcome open();

    /// Reads the next entry; sets `ended` if there is none. Folders that exist only in the paths of files are counted
    /// too. For skipped files in a folder, returns the folder.
    outcome next(archive_file_entry &into, bool &ended);

    /// Writes the entry's bytes into an open file, which must be empty.
    outcome write_to(int file, const std::string &shown_file);

    /// Returns a permanent failure about an entry: "PATH in SOURCE WHY".
    outcome refuse(const std::string &path, const std::string &why) const;

    std::uint64_t files() const noexcept { return files_; }
    std::uint64_t bytes() const noexcept { return bytes_; }

  private:
    struct release {
        void operator()(archive *held) const noexcept { archive_read_free(held); }
    };

    outcome check(archive_entry &entry, archive_file_entry &into);
    outcome name(archive_entry &entry, std::string &into) const;
    outcome leave_out(archive_entry &entry, std::string_view path, archive_file_entry &into);
    outcome check_path(std::string_view path, std::string &into) const;
    outcome check_link(const std::string &target, archive_file_entry &into) const;
    outcome count(const std::string &path);
    outcome count_bytes(std::uint64_t more);
    outcome broken() const;
    outcome open_proven();
    static la_ssize_t on_read(archive *reader, void *self, const void **bytes) noexcept;
    static la_int64_t on_seek(archive *reader, void *self, la_int64_t offset, int whence) noexcept;
    static la_int64_t on_skip(archive *reader, void *self, la_int64_t bytes) noexcept;
    outcome too_many() const;
    outcome too_large() const;

    const archive_source &source_;
    tree_bounds bounds_;
    const stop_flag &stop_;
    std::unique_ptr<archive, release> reader_;
    std::uint64_t at_ = 0;   ///< of a proven file: the offset of the next read
    outcome proven_failure_; ///< and its failure
    bool is_zip_ = false;
    std::string path_;              ///< of the last entry
    std::set<std::string> counted_; ///< folders, and other entries that take a name
    std::uint64_t files_ = 0;
    std::uint64_t bytes_ = 0;
    std::uint64_t left_out_ = 0;       ///< entries
    std::uint64_t left_out_bytes_ = 0; ///< which must be read anyway
    std::uint64_t announced_ = 0;      ///< the part of `bytes_` that the last entry's header announced
};

} // namespace rollout
