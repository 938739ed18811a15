#include "worker/fs/copy_tree.hpp"

#include "worker/base/format.hpp"
#include "worker/fs/copy_file.hpp"
#include "worker/fs/io_failure.hpp"
#include "worker/fs/left_behind.hpp"

#include <algorithm>
#include <cerrno>
#include <memory>
#include <utility>

#include <dirent.h>
#include <fcntl.h>

namespace rollout {
namespace {

struct dir_release {
    void operator()(DIR *held) const noexcept { ::closedir(held); }
};
using dir_ptr = std::unique_ptr<DIR, dir_release>;

/// Opens the folder again with an offset of its own, since the descriptor may be read a second time.
dir_ptr open_listing(int folder)
{
    unique_fd own(::openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    dir_ptr listing(own ? ::fdopendir(own.get()) : nullptr);
    if (listing) {
        own.release();
    }
    return listing;
}

std::string copy_of(const std::string &path)
{
    return "the copy of " + shown(path);
}

} // namespace


outcome tree_pass::measure_folder(const opened_source &folder, const std::string &path, const entry_fn &entry)
{
    return walk(folder, path, nullptr, entry);
}


outcome tree_pass::copy_folder(const opened_source &folder, const std::string &path, const place_fn &place)
{
    return walk(folder, path, place, nullptr);
}


outcome tree_pass::measure_file(const opened_source &file, const std::string &path)
{
    const auto size = static_cast<std::uint64_t>(file.status.st_size);
    if (size > bounds_.max_bytes - bytes_) {
        return outcome::permanent(shown(path) + " brings the source over " + format_size(bounds_.max_bytes) +
                                  " (artifacts.max_bytes)");
    }
    bytes_ += size;
    ++files_;
    return outcome::ok();
}


outcome tree_pass::copy_one(const opened_source &file, const std::string &path, int to, const char *name,
                            sha256 *digest)
{
    if (auto counted = measure_file(file, path); !counted) {
        return counted;
    }
    const mode_t mode = (file.status.st_mode & S_IXUSR) != 0 ? 0755 : 0644;
    const unique_fd created(::openat(to, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode));
    if (!created || ::fchmod(created.get(), mode) != 0) {
        return io_failure(copy_of(path) + " cannot be created", errno);
    }
    return copy_file({file.fd.get(), created.get(), shown(path), copy_of(path)}, file.status, stop_, digest);
}


outcome tree_pass::walk(const opened_source &folder, const std::string &path, const place_fn &place,
                        const entry_fn &entry)
{
    const std::pair self{folder.status.st_dev, folder.status.st_ino};
    if (std::ranges::find(above_, self) != above_.end()) {
        return outcome::permanent(shown(path) + " is a link to a folder that it is in");
    }
    if (above_.size() > deepest_folder) {
        return outcome::permanent(shown(path) + " is more than " + std::to_string(deepest_folder) +
                                  " folders deep in the source");
    }
    const dir_ptr listing = open_listing(folder.fd.get());
    if (!listing) {
        return io_failure(shown(path) + " cannot be read", errno);
    }

    above_.push_back(self);
    outcome ended;
    while (ended) {
        errno = 0;
        const dirent *next =
            ::readdir(listing.get()); // NOLINT(concurrency-mt-unsafe): the stream is this function's own
        if (next == nullptr) {
            if (errno != 0) {
                ended = io_failure(shown(path) + " cannot be read", errno);
            }
            break;
        }
        const std::string_view name = next->d_name;
        if (name != "." && name != ".." && !is_left_behind(name)) {
            ended =
                stop_ ? outcome::canceled() : walk_entry(::dirfd(listing.get()), path, next->d_name, place, entry);
        }
    }
    above_.pop_back();
    return ended;
}


outcome tree_pass::walk_entry(int folder, const std::string &path, const char *name, const place_fn &place,
                              const entry_fn &entry)
{
    if (auto counted = count_entry(); !counted) {
        return counted;
    }
    const std::string whole = path + "/" + name;
    opened_source source;
    if (auto opened = open_source(folder, name, area_, shown(whole), source); !opened) {
        return opened;
    }
    if (entry) {
        entry(name, source.is_folder());
    }
    const int to = place ? place(name, source.is_folder()) : -1;
    if (source.is_folder()) {
        return enter(source, whole, name, to);
    }
    return place ? copy_one(source, whole, to, name, nullptr) : measure_file(source, whole);
}


outcome tree_pass::enter(const opened_source &folder, const std::string &path, const char *name, int to)
{
    if (to < 0) {
        return walk(folder, path, nullptr, nullptr);
    }
    if (::mkdirat(to, name, 0755) != 0) {
        return io_failure(copy_of(path) + " cannot be created", errno);
    }
    const unique_fd created(::openat(to, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!created || ::fchmod(created.get(), 0755) != 0) {
        return io_failure(copy_of(path) + " cannot be created", errno);
    }
    return walk(
        folder, path, [&](std::string_view, bool) { return created.get(); }, nullptr);
}


outcome tree_pass::count_entry()
{
    if (++entries_ > bounds_.max_files) {
        return outcome::permanent("the source holds more than " +
                                  format_count(bounds_.max_files, "file or folder", "files and folders") +
                                  " (artifacts.max_files)");
    }
    return outcome::ok();
}

} // namespace rollout
