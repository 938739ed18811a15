#include "worker/artifact/archive_entries.hpp"

#include "worker/artifact/proven_file.hpp"
#include "worker/base/format.hpp"
#include "worker/fs/io_failure.hpp"
#include "worker/fs/left_behind.hpp"
#include "worker/model_files/archive_kind.hpp"

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <optional>
#include <utility>
#include <vector>

#include <iconv.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

namespace rollout {

namespace {

constexpr std::size_t block_bytes = 65536;

/// Returns false if memory is short.
bool support(archive *reader, packing kind)
{
    if (kind == packing::zip) {
        return archive_read_support_format_zip_seekable(reader) == ARCHIVE_OK;
    }
    if (archive_read_support_format_tar(reader) != ARCHIVE_OK) {
        return false;
    }
    using filter = int (*)(archive *);
    constexpr filter filters[] = {
        archive_read_support_filter_gzip, archive_read_support_filter_bzip2,    archive_read_support_filter_xz,
        archive_read_support_filter_lzma, archive_read_support_filter_zstd,     archive_read_support_filter_lz4,
        archive_read_support_filter_lzip, archive_read_support_filter_compress,
    };
    return std::ranges::all_of(filters, [reader](filter needed) { return support_built_in(reader, needed); });
}


/// Returns the part of a path before the first component that was left behind, without a slash at the end; nothing if
/// there is no such component.
std::optional<std::string_view> before_left_behind(std::string_view path) noexcept
{
    for (std::size_t position = 0; position < path.size();) {
        const std::size_t end = std::min(path.find('/', position), path.size());
        if (is_left_behind(path.substr(position, end - position))) {
            return path.substr(0, position == 0 ? 0 : position - 1);
        }
        position = end + 1;
    }
    return std::nullopt;
}


/// Converts a name whose encoding the archive does not give, and which is not valid UTF-8, from what DOS wrote, code page
/// 437 (section D.1 of ZIP's APPNOTE). Nothing if the system has no such conversion.
std::optional<std::string> from_dos(std::string_view name)
{
    const iconv_t conversion = ::iconv_open("UTF-8", "CP437");
    if (conversion == reinterpret_cast<iconv_t>(-1)) { // NOLINT(performance-no-int-to-ptr): iconv's own convention
        return std::nullopt;
    }
    std::string bytes(name);
    std::string decoded(name.size() * 4, '\0');
    char *from = bytes.data();
    char *to = decoded.data();
    std::size_t left = bytes.size();
    std::size_t room = decoded.size();
    const bool fine = ::iconv(conversion, &from, &left, &to, &room) != static_cast<std::size_t>(-1) && left == 0;
    ::iconv_close(conversion);
    decoded.resize(decoded.size() - room);
    return fine ? std::optional(std::move(decoded)) : std::nullopt;
}


/// Returns a name as the archive has it; null if it has none that can be read.
const char *name_of(const char *utf8, const char *bytes) noexcept
{
    return utf8 != nullptr ? utf8 : bytes;
}


std::string_view view_of(const char *text) noexcept
{
    return text == nullptr ? std::string_view() : std::string_view(text);
}

} // namespace


outcome archive_entries::open()
{
    const packing kind = packing_of(source_.name);
    if (kind == packing::none) {
        return outcome::permanent(source_.shown + " is not an archive by its name");
    }
    if (auto checked = check_can_be_unpacked(source_.name, source_.shown); !checked) {
        return checked;
    }
    is_zip_ = kind == packing::zip;
    reader_.reset(archive_read_new());
    if (!reader_ || !support(reader_.get(), kind)) {
        return outcome::transient("no memory to read " + source_.shown);
    }
    if (source_.proven != nullptr) {
        return open_proven();
    }
    // By the descriptor, but with a file offset of its own: the file may be read twice, and its name may be gone.
    const std::string path = "/proc/self/fd/" + std::to_string(source_.fd);
    return archive_read_open_filename(reader_.get(), path.c_str(), block_bytes) == ARCHIVE_OK ? outcome::ok()
                                                                                              : broken();
}


outcome archive_entries::open_proven()
{
    archive *reader = reader_.get();
    const bool is_fine = archive_read_set_callback_data(reader, this) == ARCHIVE_OK &&
                         archive_read_set_read_callback(reader, &archive_entries::on_read) == ARCHIVE_OK &&
                         archive_read_set_seek_callback(reader, &archive_entries::on_seek) == ARCHIVE_OK &&
                         archive_read_set_skip_callback(reader, &archive_entries::on_skip) == ARCHIVE_OK;
    return is_fine && archive_read_open1(reader) == ARCHIVE_OK ? outcome::ok() : broken();
}


la_ssize_t archive_entries::on_read(archive *reader, void *self, const void **bytes) noexcept
{
    auto &of = *static_cast<archive_entries *>(self);
    try {
        std::string_view read;
        if (auto ended = of.source_.proven->read(of.at_, of.source_.shown, read); !ended) {
            archive_set_error(reader, EIO, "%s", ended.detail.c_str());
            of.proven_failure_ = std::move(ended);
            return ARCHIVE_FATAL;
        }
        of.at_ += read.size();
        *bytes = read.data();
        return static_cast<la_ssize_t>(read.size());
    } catch (...) {
        archive_set_error(reader, ENOMEM, "no memory");
        return ARCHIVE_FATAL;
    }
}


la_int64_t archive_entries::on_seek(archive *, void *self, la_int64_t offset, int whence) noexcept
{
    auto &of = *static_cast<archive_entries *>(self);
    const auto size = static_cast<la_int64_t>(of.source_.proven->size());
    const la_int64_t base = whence == SEEK_SET ? 0 : whence == SEEK_CUR ? static_cast<la_int64_t>(of.at_) : size;
    const la_int64_t to = std::clamp<la_int64_t>(base + std::clamp(offset, -size, size), 0, size);
    of.at_ = static_cast<std::uint64_t>(to);
    return to;
}


la_int64_t archive_entries::on_skip(archive *, void *self, la_int64_t bytes) noexcept
{
    auto &of = *static_cast<archive_entries *>(self);
    const auto left = static_cast<la_int64_t>(of.source_.proven->size() - of.at_);
    const la_int64_t skipped = std::clamp<la_int64_t>(bytes, 0, left);
    of.at_ += static_cast<std::uint64_t>(skipped);
    return skipped;
}


outcome archive_entries::next(archive_file_entry &into, bool &ended)
{
    while (!stop_) {
        archive_entry *entry = nullptr;
        const int read = archive_read_next_header(reader_.get(), &entry);
        if (read == ARCHIVE_EOF) {
            ended = true;
            return outcome::ok();
        }
        if (read != ARCHIVE_OK && read != ARCHIVE_WARN) {
            return broken();
        }
        if (auto checked = check(*entry, into); !checked) {
            return checked;
        }
        if (!into.path.empty()) { // empty: the archive's top, "./"
            path_ = into.path;
            ended = false;
            return outcome::ok();
        }
    }
    return outcome::canceled();
}


outcome archive_entries::check(archive_entry &entry, archive_file_entry &into)
{
    announced_ = 0;
    into = {};
    std::string path;
    if (auto named = name(entry, path); !named) {
        return named;
    }
    if (const auto before = before_left_behind(path)) {
        return leave_out(entry, *before, into);
    }
    if (auto named = check_path(path, into.path); !named) {
        return named;
    }
    if (archive_entry_is_encrypted(&entry) != 0) {
        return refuse(into.path, "is encrypted");
    }
    if (const char *hard = name_of(archive_entry_hardlink_utf8(&entry), archive_entry_hardlink(&entry));
        hard != nullptr) {
        into.is = archive_file_entry::kind::link;
        if (auto named = check_path(view_of(hard), into.target); !named) {
            return named;
        }
        return count(into.path);
    }
    switch (archive_entry_filetype(&entry)) {
    case AE_IFREG: {
        if (path.ends_with('/')) { // how some archivers write folders
            into.is = archive_file_entry::kind::folder;
            return into.path.empty() ? outcome::ok() : count(into.path);
        }
        into.is = archive_file_entry::kind::file;
        into.is_run = (archive_entry_perm(&entry) & S_IXUSR) != 0;
        if (into.path.empty()) {
            return outcome::permanent(source_.shown + " holds a file without a name");
        }
        ++files_;
        const la_int64_t size = archive_entry_size_is_set(&entry) != 0 ? archive_entry_size(&entry) : 0;
        announced_ = static_cast<std::uint64_t>(std::max<la_int64_t>(size, 0));
        if (auto counted = count_bytes(announced_); !counted) {
            return counted;
        }
        return count(into.path);
    }
    case AE_IFDIR:
        into.is = archive_file_entry::kind::folder;
        return into.path.empty() ? outcome::ok() : count(into.path);
    case AE_IFLNK: {
        into.is = archive_file_entry::kind::link;
        const char *target = name_of(archive_entry_symlink_utf8(&entry), archive_entry_symlink(&entry));
        if (auto checked = check_link(target == nullptr ? "" : target, into); !checked) {
            return checked;
        }
        return count(into.path);
    }
    default:
        return refuse(into.path, "is a device, a FIFO or a socket: only files and folders can be fetched");
    }
}


outcome archive_entries::name(archive_entry &entry, std::string &into) const
{
    into = view_of(name_of(archive_entry_pathname_utf8(&entry), archive_entry_pathname(&entry)));
    if (into.empty()) {
        return outcome::permanent(source_.shown + " holds an entry whose name cannot be read");
    }
    if (!is_zip_) {
        return outcome::ok();
    }
    if (valid_utf8(into) != into) {
        auto known = from_dos(into);
        if (!known) {
            return refuse(into, "has a name that is neither in UTF-8 nor in code page 437");
        }
        into = std::move(*known);
    }
    std::ranges::replace(into, '\\',
                         '/'); // once written by .NET; names in a zip have no backslashes (APPNOTE, 4.4.17.1)
    if (into.size() >= 2 && into[1] == ':' && std::isalpha(static_cast<unsigned char>(into[0])) != 0) {
        return refuse(into, "is an absolute path");
    }
    return outcome::ok();
}


/// Skips an entry that is not part of the model, but keeps the folder that it is in: a model may need that even if it is
/// empty.
outcome archive_entries::leave_out(archive_entry &entry, std::string_view path, archive_file_entry &into)
{
    if (++left_out_ > bounds_.max_files) {
        return too_many();
    }
    const la_int64_t size = archive_entry_size_is_set(&entry) != 0 ? archive_entry_size(&entry) : 0;
    const auto more = static_cast<std::uint64_t>(std::max<la_int64_t>(size, 0));
    if (more > bounds_.max_bytes - left_out_bytes_) {
        return too_large();
    }
    left_out_bytes_ += more;
    into.is = archive_file_entry::kind::folder;
    if (path.empty()) {
        return outcome::ok();
    }
    auto checked = check_path(path, into.path);
    return checked && !into.path.empty() ? count(into.path) : checked;
}


outcome archive_entries::check_path(std::string_view path, std::string &into) const
{
    into.clear();
    if (path.empty()) {
        return outcome::permanent(source_.shown + " holds an entry whose name cannot be read");
    }
    if (path.front() == '/') {
        return refuse(std::string(path), "is an absolute path");
    }
    if (path.size() >= PATH_MAX) {
        return refuse(std::string(path), "is too long for a path");
    }
    if (std::ranges::any_of(path, [](unsigned char c) { return c < 0x20 || c == 0x7F || c == '\\'; })) {
        return refuse(std::string(path), "holds a control character or a backslash in its name");
    }
    std::size_t depth = 0;
    for (std::size_t position = 0; position < path.size();) {
        const std::size_t end = std::min(path.find('/', position), path.size());
        const std::string_view component = path.substr(position, end - position);
        position = end + 1;
        if (component.empty() || component == ".") {
            continue;
        }
        if (component == "..") {
            return refuse(std::string(path), "holds \"..\", which leads out of the archive");
        }
        if (component.size() > NAME_MAX) {
            return refuse(std::string(path), "is too long for a path");
        }
        if (++depth > deepest_folder + 1) {
            return refuse(std::string(path), "is more than " + std::to_string(deepest_folder) + " folders deep");
        }
        into += (into.empty() ? "" : "/");
        into += component;
    }
    return outcome::ok();
}


/// A symbolic link's text is relative to the folder that contains the link.
outcome archive_entries::check_link(const std::string &target, archive_file_entry &into) const
{
    if (target.empty() || target.front() == '/') {
        return refuse(into.path, "is a link that leads out of the archive");
    }
    std::vector<std::string_view> components;
    const auto walk = [&components](std::string_view path) {
        while (!path.empty()) {
            const std::string_view component = path.substr(0, path.find('/'));
            path.remove_prefix(std::min(component.size() + 1, path.size()));
            if (component == "..") {
                if (components.empty()) {
                    return false;
                }
                components.pop_back();
            } else if (!component.empty() && component != ".") {
                components.push_back(component);
            }
        }
        return true;
    };
    const std::size_t slash = into.path.rfind('/');
    if (!walk(slash == std::string::npos ? std::string_view() : std::string_view(into.path).substr(0, slash)) ||
        !walk(target)) {
        return refuse(into.path, "is a link that leads out of the archive");
    }
    into.target.clear();
    for (const auto component : components) {
        into.target += (into.target.empty() ? "" : "/");
        into.target += component;
    }
    return into.target.empty() ? refuse(into.path, "is a link to a folder") : outcome::ok();
}


outcome archive_entries::count(const std::string &path)
{
    for (std::size_t slash = path.find('/');; slash = path.find('/', slash + 1)) {
        counted_.insert(path.substr(0, slash));
        if (counted_.size() > bounds_.max_files) {
            return too_many();
        }
        if (slash == std::string::npos) {
            return outcome::ok();
        }
    }
}


outcome archive_entries::count_bytes(std::uint64_t more)
{
    if (more > bounds_.max_bytes - bytes_) {
        return too_large();
    }
    bytes_ += more;
    return outcome::ok();
}


outcome archive_entries::too_many() const
{
    return outcome::permanent(source_.shown + " holds more than " +
                              format_count(bounds_.max_files, "file or folder", "files and folders") +
                              " (artifacts.max_files)");
}


outcome archive_entries::too_large() const
{
    return outcome::permanent(source_.shown + " unpacks to more than " + format_size(bounds_.max_bytes) +
                              " (artifacts.max_bytes)");
}


outcome archive_entries::write_to(int file, const std::string &shown_file)
{
    std::uint64_t end = 0;
    while (!stop_) {
        const void *block = nullptr;
        std::size_t size = 0;
        la_int64_t offset = 0;
        const int read = archive_read_data_block(reader_.get(), &block, &size, &offset);
        if (read == ARCHIVE_EOF) {
            const bool fits = ::ftruncate(file, static_cast<off_t>(std::max(end, announced_))) == 0;
            return fits ? outcome::ok() : io_failure(shown_file + " cannot be written", errno);
        }
        if (read != ARCHIVE_OK && read != ARCHIVE_WARN) {
            return broken();
        }
        if (offset < 0 || size > bounds_.max_bytes || static_cast<std::uint64_t>(offset) > bounds_.max_bytes - size) {
            return count_bytes(bounds_.max_bytes + 1);
        }
        end = std::max(end, static_cast<std::uint64_t>(offset) + size);
        if (end > announced_) {
            if (auto counted = count_bytes(end - announced_); !counted) {
                return counted;
            }
            announced_ = end;
        }
        const char *bytes = static_cast<const char *>(block);
        while (size > 0) {
            const ssize_t written = ::pwrite(file, bytes, size, static_cast<off_t>(offset));
            if (written < 0 && errno != EINTR) {
                return io_failure(shown_file + " cannot be written", errno);
            }
            if (written > 0) {
                bytes += written;
                offset += written;
                size -= static_cast<std::size_t>(written);
            }
        }
    }
    return outcome::canceled();
}


outcome archive_entries::broken() const
{
    if (!proven_failure_) {
        return proven_failure_;
    }
    const char *words = archive_error_string(reader_.get());
    return outcome::permanent(source_.shown + " cannot be unpacked" +
                              (path_.empty() ? "" : " after " + clean_text(path_, 200)) + " (" +
                              clean_text(words == nullptr ? "no reason given" : words, 200) +
                              "): it is damaged, or not what its name says");
}


outcome archive_entries::refuse(const std::string &path, const std::string &why) const
{
    return outcome::permanent(clean_text(path, 200) + " in " + source_.shown + " " + why);
}

} // namespace rollout
