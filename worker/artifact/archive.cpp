#include "worker/artifact/archive.hpp"

#include "worker/artifact/archive_entries.hpp"
#include "worker/artifact/io_failure.hpp"
#include "worker/words.hpp"

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

constexpr unsigned most_links_in_a_row = 40; // as the kernel

using entry_kind = archive_file_entry::kind;


std::string_view first_of(std::string_view path) noexcept
{
    return path.substr(0, path.find('/'));
}


std::string_view rest_of(std::string_view path) noexcept
{
    return path.size() == first_of(path).size() ? std::string_view() : path.substr(first_of(path).size() + 1);
}


/// What stands in one folder of the archive; a name is noted once.
class listed_folder {
  public:
    void note(std::string_view path, bool is_folder)
    {
        const std::string_view name = first_of(path);
        const bool has_more = name.size() < path.size();
        if (names_.emplace(name).second) {
            shape.note(name, is_folder || has_more);
            only_folders_ = only_folders_ && (is_folder || has_more);
        }
    }

    /// The only thing there, which is a folder; empty where it is not so.
    std::string only_folder() const { return names_.size() == 1 && only_folders_ ? *names_.begin() : std::string(); }

    folder_shape shape;

  private:
    std::set<std::string> names_;
    bool only_folders_ = true;
};


/// A model in a format that is a folder itself (a large ONNX, TensorFlow's).
bool is_a_models_own_folder(std::string_view name) noexcept
{
    return name.ends_with(".onnx") || name.ends_with(".savedmodel");
}


class unpacking {
  public:
    unpacking(const archive_source &source, const archive_contents &contents, tree_bounds bounds, fs::path folder,
              const stop_flag &stop)
        : contents_(contents), folder_(std::move(folder)), entries_(source, bounds, stop)
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
            if (auto made = make(entry); !made) {
                return made;
            }
        }
    }

  private:
    /// Where a path of the archive's goes; empty: nowhere, the folder that is left out.
    std::string place(std::string_view path, bool is_folder) const
    {
        if (!contents_.top.empty()) {
            path = first_of(path) == contents_.top ? rest_of(path) : std::string_view();
        }
        const bool is_top = rest_of(path).empty();
        if (path.empty() || contents_.shape.is_model_folder() || (is_top && stays_at_top(path, is_folder))) {
            return std::string(path);
        }
        return "1/" + std::string(path);
    }

    outcome make(const archive_file_entry &entry)
    {
        const std::string path = place(entry.path, entry.is == entry_kind::folder);
        if (path.empty()) {
            return outcome::ok();
        }
        switch (entry.is) {
        case entry_kind::folder:
            return make_folders(path + "/");
        case entry_kind::link:
            links_[path] = place(entry.target, false);
            return outcome::ok();
        case entry_kind::file:
            break;
        }
        if (auto made = make_folders(path); !made) {
            return made;
        }
        const unique_fd file(
            ::open((folder_ / path).c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644));
        if (!file || ::fchmod(file.get(), 0644) != 0) {
            return errno == EEXIST ? twice(path) : io_failure(shown(folder_ / path) + " cannot be created", errno);
        }
        return entries_.write_to(file.get(), shown(folder_ / path));
    }

    /// Every folder above, and nothing that is no folder. There is no link in the tree that could lead elsewhere.
    outcome make_folders(const std::string &path)
    {
        for (std::size_t slash = path.find('/'); slash != std::string::npos; slash = path.find('/', slash + 1)) {
            const std::string name = path.substr(0, slash);
            if (folders_.contains(name)) {
                continue;
            }
            const std::string at = (folder_ / name).native();
            if (::mkdir(at.c_str(), 0755) != 0 || ::chmod(at.c_str(), 0755) != 0) {
                return errno == EEXIST ? twice(name) : io_failure(shown(at) + " cannot be created", errno);
            }
            folders_.insert(name);
        }
        return outcome::ok();
    }

    /// A link becomes another name of the file that it leads to.
    outcome make_links()
    {
        for (const auto &[path, first_target] : links_) {
            std::string target = first_target;
            for (unsigned steps = 0; links_.contains(target); target = links_.at(target)) {
                if (++steps > most_links_in_a_row) {
                    return entries_.refuse(path, "is a link that leads round in a circle");
                }
            }
            if (folders_.contains(target)) {
                return entries_.refuse(path, "is a link to a folder, which is not unpacked: put the files there");
            }
            if (auto made = make_folders(path); !made) {
                return made;
            }
            if (::linkat(AT_FDCWD, (folder_ / target).c_str(), AT_FDCWD, (folder_ / path).c_str(), 0) != 0) {
                return errno == ENOENT   ? entries_.refuse(path, "is a link to what is not in the archive")
                       : errno == EEXIST ? twice(path)
                                         : io_failure(shown(folder_ / path) + " cannot be created", errno);
            }
        }
        return outcome::ok();
    }

    outcome twice(const std::string &path) const { return entries_.refuse(path, "is there twice"); }

    const archive_contents &contents_;
    fs::path folder_;
    archive_entries entries_;
    std::set<std::string> folders_;            ///< that were made
    std::map<std::string, std::string> links_; ///< to be made in the end: where each goes, and where it leads
};

} // namespace


outcome look_through(const archive_source &source, tree_bounds bounds, const stop_flag &stop, archive_contents &into)
{
    archive_entries entries(source, bounds, stop);
    if (auto opened = entries.open(); !opened) {
        return opened;
    }
    listed_folder top;
    listed_folder below; // in the first folder of the top, which counts where it is the only one
    while (true) {
        archive_file_entry entry;
        bool ended = false;
        if (auto read = entries.next(entry, ended); !read) {
            return read;
        }
        if (ended) {
            break;
        }
        top.note(entry.path, entry.is == entry_kind::folder);
        if (const auto rest = rest_of(entry.path); !rest.empty()) {
            below.note(rest, entry.is == entry_kind::folder);
        }
    }
    if (entries.files() == 0) {
        return outcome::permanent(source.shown + " holds no file");
    }
    const std::string only = top.only_folder();
    const bool holds_a_model = below.shape.is_model_folder() || below.shape.has_config || !below.shape.onnx.empty();
    if (!only.empty() && !top.shape.is_model_folder() && !is_a_models_own_folder(only) && holds_a_model) {
        into.top = only;
    }
    into.shape = into.top.empty() ? std::move(top.shape) : std::move(below.shape);
    into.files = entries.files();
    into.bytes = entries.bytes();
    return outcome::ok();
}


outcome unpack(const archive_source &source, const archive_contents &contents, tree_bounds bounds,
               const fs::path &folder, const stop_flag &stop)
{
    if (auto unpacked = unpacking(source, contents, bounds, folder, stop).run(); !unpacked) {
        return unpacked;
    }
    return contents.shape.is_model_folder() ? outcome::ok() : name_only_onnx(folder, contents.shape);
}

} // namespace rollout
