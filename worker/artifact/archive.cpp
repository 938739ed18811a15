#include "worker/artifact/archive.hpp"

#include "worker/artifact/archive_entries.hpp"
#include "worker/base/format.hpp"
#include "worker/fs/io_failure.hpp"

#include <algorithm>
#include <cerrno>
#include <map>
#include <set>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace rollout {

namespace {

namespace fs = std::filesystem;

constexpr unsigned most_links_in_a_row = 40; // the kernel's limit

using entry_kind = archive_file_entry::kind;


/// Recognizes what torch.save and torch.jit.save write: a zip archive of one folder that contains these files.
class torch_signs {
  public:
    void note(std::string_view path) noexcept
    {
        const std::size_t slash = path.find('/');
        const auto name = slash == std::string_view::npos ? std::string_view() : path.substr(slash + 1);
        has_data_ = has_data_ || name == "data.pkl";
        has_version_ = has_version_ || name == "version";
    }

    bool is_one() const noexcept { return has_data_ && has_version_; }

  private:
    bool has_data_ = false;
    bool has_version_ = false;
};


class unpacking {
  public:
    unpacking(const archive_source &source, tree_bounds bounds, fs::path folder, const stop_flag &stop)
        : folder_(std::move(folder)), entries_(source, bounds, stop)
    {
    }

    outcome run()
    {
        if (auto opened = entries_.open(); !opened) {
            return opened;
        }
        while (true) {
            archive_file_entry entry;
            bool ended = false;
            if (auto read = entries_.next(entry, ended); !read) {
                return read;
            }
            if (ended) {
                return make_links();
            }
            if (auto result = make(entry); !result) {
                return result;
            }
        }
    }

  private:
    outcome make(const archive_file_entry &entry)
    {
        const std::string &path = entry.path;
        switch (entry.is) {
        case entry_kind::folder:
            return make_folders(path + "/");
        case entry_kind::link:
            links_[path] = entry.target;
            return outcome::ok();
        case entry_kind::file:
            break;
        }
        if (auto result = make_folders(path); !result) {
            return result;
        }
        const mode_t mode = entry.is_run ? 0755 : 0644;
        const unique_fd file(
            ::open((folder_ / path).c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode));
        if (!file || ::fchmod(file.get(), mode) != 0) {
            return errno == EEXIST ? twice(path) : io_failure(shown(folder_ / path) + " cannot be created", errno);
        }
        return entries_.write_to(file.get(), shown(folder_ / path));
    }

    /// Creates all parent folders; fails if one of them exists as something else. The tree contains no links that could
    /// lead elsewhere.
    outcome make_folders(const std::string &path)
    {
        for (std::size_t slash = path.find('/'); slash != std::string::npos; slash = path.find('/', slash + 1)) {
            const std::string name = path.substr(0, slash);
            if (folders_.contains(name)) {
                continue;
            }
            const std::string parent = (folder_ / name).native();
            if (::mkdir(parent.c_str(), 0755) != 0 || ::chmod(parent.c_str(), 0755) != 0) {
                return errno == EEXIST ? twice(name) : io_failure(shown(parent) + " cannot be created", errno);
            }
            folders_.insert(name);
        }
        return outcome::ok();
    }

    /// Creates each link as another name (a hard link) of the file that it leads to.
    outcome make_links()
    {
        for (const auto &[path, first_target] : links_) {
            std::string target = first_target;
            for (unsigned steps = 0; links_.contains(target); target = links_.at(target)) {
                if (++steps > most_links_in_a_row) {
                    return entries_.refuse(path, "is a symbolic link to itself");
                }
            }
            if (folders_.contains(target)) {
                return entries_.refuse(path, "is a link to a folder, which is not unpacked: put the files there");
            }
            if (auto result = make_folders(path); !result) {
                return result;
            }
            if (::linkat(AT_FDCWD, (folder_ / target).c_str(), AT_FDCWD, (folder_ / path).c_str(), 0) != 0) {
                return errno == ENOENT   ? entries_.refuse(path, "is a link to something that is not in the archive")
                       : errno == EEXIST ? twice(path)
                                         : io_failure(shown(folder_ / path) + " cannot be created", errno);
            }
        }
        return outcome::ok();
    }

    outcome twice(const std::string &path) const { return entries_.refuse(path, "is there twice"); }

    fs::path folder_;
    archive_entries entries_;
    std::set<std::string> folders_;            ///< created so far
    std::map<std::string, std::string> links_; ///< created at the end: path and target of each
};

} // namespace


outcome inspect_archive(const archive_source &source, tree_bounds bounds, const stop_flag &stop,
                        archive_contents &into)
{
    archive_entries entries(source, bounds, stop);
    torch_signs torch;
    if (auto opened = entries.open(); !opened) {
        return opened;
    }
    while (true) {
        archive_file_entry entry;
        bool ended = false;
        if (auto read = entries.next(entry, ended); !read) {
            return read;
        }
        if (ended) {
            break;
        }
        torch.note(entry.path);
    }
    if (entries.files() == 0) {
        return outcome::permanent(source.shown + " holds no file");
    }
    if (torch.is_one()) {
        return outcome::permanent(
            source.shown +
            " contains a PyTorch model, whose format is a zip archive: give it a name that ends with .pt");
    }
    into.files = entries.files();
    into.bytes = entries.bytes();
    return outcome::ok();
}


outcome unpack(const archive_source &source, tree_bounds bounds, const fs::path &folder, const stop_flag &stop)
{
    return unpacking(source, bounds, folder, stop).run();
}

} // namespace rollout
