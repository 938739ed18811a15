#include "worker/artifact/fetch.hpp"

#include "common/base/unique_fd.hpp"
#include "worker/artifact/archive.hpp"
#include "worker/artifact/download.hpp"
#include "worker/artifact/proven_file.hpp"
#include "worker/async/thread_work.hpp"
#include "worker/base/format.hpp"
#include "worker/fs/copy_file.hpp"
#include "worker/fs/copy_tree.hpp"
#include "worker/fs/destination.hpp"
#include "worker/fs/guarded_open.hpp"
#include "worker/fs/io_failure.hpp"
#include "worker/fs/rename.hpp"
#include "worker/fs/sha256.hpp"
#include "worker/model_files/archive_kind.hpp"
#include "worker/model_files/model_folder.hpp"
#include "worker/net/source_url.hpp"

#include <cerrno>
#include <optional>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>

namespace rollout {
namespace {

namespace fs = std::filesystem;

/// The partial download, in its destination.
constexpr char part_name[] = ".download";


outcome fetched(const fetch_request &request, std::uint64_t files, std::uint64_t bytes)
{
    return outcome::ok(format_count(files, "file", "files") + ", " + format_size(bytes) +
                       (request.sha256.empty() ? "; no sha256 was given, so nothing was verified" : ""));
}


/// Creates the model's folder from an archive, which is open and complete.
outcome unpack_archive(const fetch_request &request, const archive_source &source, const stop_flag &stop)
{
    const tree_bounds bounds{request.max_bytes, request.max_files};
    archive_contents contents;
    if (auto inspected = inspect_archive(source, bounds, stop, contents); !inspected) {
        return inspected;
    }
    unique_fd folder;
    if (auto cleared = clear_destination(request.destination); !cleared) {
        return cleared;
    }
    if (auto fits = check_space(request.destination.parent_path(), contents.bytes); !fits) {
        return fits;
    }
    if (auto result = make_folder(request.destination, folder); !result) {
        return result;
    }
    if (auto unpacked = unpack(source, bounds, request.destination, stop); !unpacked) {
        return unpacked;
    }
    if (auto laid_out = lay_out(request.destination, request.server_config.get()); !laid_out) {
        return laid_out;
    }
    return fetched(request, contents.files, contents.bytes);
}


/// One fetch of a `file://` source, on its thread.
class file_fetch {
  public:
    file_fetch(const fetch_request &request, fs::path path, const stop_flag &stop)
        : request_(request), path_(std::move(path)), stop_(stop),
          area_(allowed_names(request.allow)), bounds_{request.max_bytes, request.max_files}
    {
    }

    outcome run(bool must_be_folder)
    {
        opened_source source;
        if (auto opened = open_source(AT_FDCWD, path_.c_str(), area_, shown(path_), source); !opened) {
            return opened;
        }
        if (must_be_folder && !source.is_folder()) {
            return outcome::permanent(shown(path_) + " is a file, and the source ends with a slash");
        }
        if (source.is_folder() && !request_.sha256.empty()) {
            return outcome::permanent("sha256 is for a source that is one file");
        }
        if (!source.is_folder() && is_archive_name(path_.filename().native())) {
            return unpack_file(source);
        }
        if (!source.is_folder()) {
            if (auto checked = check_is_no_archive(source.fd.get(), path_.filename().native(), shown(path_));
                !checked) {
                return checked;
            }
        }
        tree_pass measured(area_, bounds_, stop_);
        if (auto fits = measure(source, measured); !fits) {
            return fits;
        }
        if (auto prepared = prepare_destination(measured.bytes()); !prepared) {
            return prepared;
        }
        return source.is_folder() ? copy_folder(source) : copy_file(source);
    }

  private:
    static std::vector<std::string> allowed_names(const std::vector<std::string> &allow)
    {
        std::vector<std::string> names;
        for (const file_source &source : allowed_paths(allow)) {
            names.push_back(source.path);
        }
        return names;
    }

    outcome measure(const opened_source &source, tree_pass &pass)
    {
        if (!source.is_folder()) {
            return pass.measure_file(source, path_.native());
        }
        if (auto measured = pass.measure_folder(source, path_.native(), nullptr); !measured) {
            return measured;
        }
        return pass.files() > 0 ? outcome::ok() : outcome::permanent(shown(path_) + " holds no file");
    }

    outcome prepare_destination(std::uint64_t needed)
    {
        if (auto cleared = clear_destination(request_.destination); !cleared) {
            return cleared;
        }
        if (auto fits = check_space(request_.destination.parent_path(), needed); !fits) {
            return fits;
        }
        return make_folder(request_.destination, destination_);
    }

    /// With a checksum, the bytes that are unpacked are those that were verified. Without one, the file's times are
    /// compared instead.
    outcome unpack_file(const opened_source &source)
    {
        if (auto checked = check_can_be_unpacked(path_.filename().native(), shown(path_)); !checked) {
            return checked;
        }
        archive_source packed{source.fd.get(), path_.filename().native(), shown(path_)};
        proven_file proven(source.fd.get());
        if (!request_.sha256.empty()) {
            std::string digest;
            if (auto read = proven.prove(packed.shown, stop_, digest); !read) {
                return read;
            }
            if (auto checked = check_sha256(packed.shown, digest, request_.sha256); !checked) {
                return checked;
            }
            packed.proven = &proven;
            return unpack_archive(request_, packed, stop_);
        }
        auto ended = unpack_archive(request_, packed, stop_);
        return ended && !is_unchanged(source.fd.get(), source.status)
                   ? outcome::transient(packed.shown + " changed while it was unpacked")
                   : ended;
    }

    outcome copy_folder(const opened_source &source)
    {
        const auto place = [this](std::string_view, bool) { return destination_.get(); };
        tree_pass pass(area_, bounds_, stop_);
        if (auto copied = pass.copy_folder(source, path_.native(), place); !copied) {
            return copied;
        }
        if (auto laid_out = lay_out(request_.destination, request_.server_config.get()); !laid_out) {
            return laid_out;
        }
        return fetched(request_, pass.files(), pass.bytes());
    }

    outcome copy_file(const opened_source &source)
    {
        unique_fd version;
        if (auto result = make_folder(request_.destination / "1", version); !result) {
            return result;
        }
        std::optional<sha256> digest;
        if (!request_.sha256.empty()) {
            digest.emplace();
        }
        tree_pass pass(area_, bounds_, stop_);
        if (auto copied =
                pass.copy_one(source, path_.native(), version.get(),
                              single_file_name(path_.filename().native(), request_.server_config.get()).c_str(),
                              digest ? &*digest : nullptr);
            !copied) {
            return copied;
        }
        if (digest) {
            if (auto checked = check_sha256(shown(path_), digest->finish(), request_.sha256); !checked) {
                return checked;
            }
        }
        return fetched(request_, pass.files(), pass.bytes());
    }

    const fetch_request &request_;
    fs::path path_;
    const stop_flag &stop_;
    allowed_area area_;
    tree_bounds bounds_;
    unique_fd destination_;
};


/// Keeps an earlier partial download if there is a checksum, and removes everything else in the destination.
outcome prepare_part(const fetch_request &request, const fs::path &part)
{
    struct stat status {};
    const bool is_kept = !request.sha256.empty() && ::lstat(part.c_str(), &status) == 0 && S_ISREG(status.st_mode);
    if (!is_kept) {
        unique_fd folder;
        auto cleared = clear_destination(request.destination);
        return cleared ? make_folder(request.destination, folder) : cleared;
    }
    std::error_code error;
    for (const auto &entry : fs::directory_iterator(request.destination, error)) {
        if (entry.path() != part) {
            fs::remove_all(entry.path(), error);
        }
    }
    return error ? io_failure(shown(request.destination) + " cannot be cleared", error.value()) : outcome::ok();
}


/// Fetches a file from a web server; runs on the fetch's thread.
outcome web_fetch(const fetch_request &request, const stop_flag &stop)
{
    const auto source = parse_web_source(request.source);
    if (!source) {
        return outcome::permanent(source.sentence());
    }
    if (source->place.is_folder) {
        return outcome::permanent(source->shown +
                                  " names no file: a folder cannot be fetched from a web server; pack it "
                                  "as a .tar.gz");
    }
    const std::string name = fs::path(source->place.path).filename().native();
    if (auto checked = check_can_be_unpacked(name, source->shown); !checked) {
        return checked;
    }
    const fs::path part = request.destination / part_name;
    if (auto prepared = prepare_part(request, part); !prepared) {
        return prepared;
    }
    unique_fd file;
    if (auto brought = download({request.source, request.sha256, request.allow, request.allow_local, request.ca_file,
                                 part, request.max_bytes},
                                request.progress.get(), stop, file);
        !brought) {
        return brought;
    }
    if (is_archive_name(name)) {
        return unpack_archive(request, {file.get(), name, source->shown}, stop);
    }
    if (auto checked = check_is_no_archive(file.get(), name, source->shown); !checked) {
        return checked;
    }
    struct stat status {};
    unique_fd version;
    if (auto result = make_folder(request.destination / "1", version); !result) {
        return result;
    }
    if (::fstat(file.get(), &status) != 0) {
        return io_failure(shown(part) + " cannot be looked at", errno);
    }
    if (const int error = rename_over(
            part, request.destination / "1" / single_file_name(name, request.server_config.get()), "downloaded");
        error != 0) {
        return io_failure(shown(part) + " cannot be renamed", error);
    }
    return fetched(request, 1, static_cast<std::uint64_t>(status.st_size));
}


outcome fetch_from(const fetch_request &request, const stop_flag &stop)
{
    if (std::string refused = check_source(request.source, request.allow); !refused.empty()) {
        return outcome::permanent(std::move(refused));
    }
    if (!request.sha256.empty() && !is_sha256(request.sha256)) {
        return outcome::permanent("sha256 is not 64 hexadecimal digits");
    }
    if (is_web_source(request.source)) {
        return web_fetch(request, stop);
    }
    const auto source = parse_file_source(request.source);
    return source ? file_fetch(request, source->path, stop).run(source->is_folder)
                  : outcome::permanent(source.sentence());
}


outcome fetch_now(const fetch_request &request, const stop_flag &stop)
{
    outcome ended = fetch_from(request, stop);
    const bool goes_on_later = !request.sha256.empty() && is_web_source(request.source) &&
                               (ended.is == outcome::kind::transient || ended.is == outcome::kind::canceled);
    if (!ended && !goes_on_later) {
        // Half a model, or one with another checksum, is of no use.
        std::error_code ignored;
        fs::remove_all(request.destination, ignored);
    }
    return ended;
}

} // namespace


operation_ptr fetch(uv_loop_t *loop, fetch_request request, done_fn done)
{
    return run_on_thread(
        loop, [request = std::move(request)](const stop_flag &stop) { return fetch_now(request, stop); },
        std::move(done));
}

} // namespace rollout
