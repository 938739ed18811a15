#include "worker/artifact/fetch.hpp"

#include "worker/artifact/copy_tree.hpp"
#include "worker/artifact/guarded_open.hpp"
#include "worker/artifact/io_failure.hpp"
#include "worker/artifact/layout.hpp"
#include "worker/artifact/sha256.hpp"
#include "worker/artifact/source.hpp"
#include "worker/fd.hpp"
#include "worker/thread_work.hpp"
#include "worker/words.hpp"

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <optional>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <sys/statvfs.h>

namespace rollout {
namespace {

namespace fs = std::filesystem;

/// One fetch of a `file://` source, on its thread. A source that comes another way (an archive, over HTTP) is a class of its
/// own beside this one, chosen by the scheme in `fetch_now`.
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
        tree_pass measured(area_, bounds_, stop_);
        if (auto fits = measure(source, measured); !fits) {
            return fits;
        }
        if (auto prepared = prepare_destination(measured.bytes()); !prepared) {
            return prepared;
        }
        outcome ended = source.is_folder() ? copy_folder(source) : copy_file(source);
        if (!ended) {
            // Half a model, or one with another checksum, is of no use to anybody.
            std::error_code ignored;
            fs::remove_all(request_.destination, ignored);
        }
        return ended;
    }

  private:
    static std::vector<std::string> allowed_names(const std::vector<std::string> &allow)
    {
        std::vector<std::string> names;
        for (const file_source &one : allowed_paths(allow)) {
            names.push_back(one.path.native());
        }
        return names;
    }

    outcome measure(const opened_source &source, tree_pass &pass)
    {
        if (!source.is_folder()) {
            return pass.measure_file(source, path_.native());
        }
        const auto note = [this](std::string_view name, bool is_folder) { shape_.note(name, is_folder); };
        if (auto measured = pass.measure_folder(source, path_.native(), note); !measured) {
            return measured;
        }
        return pass.files() > 0 ? outcome::ok() : outcome::permanent(shown(path_) + " holds no file");
    }

    outcome prepare_destination(std::uint64_t needed)
    {
        std::error_code error;
        fs::remove_all(request_.destination, error);
        if (error) {
            return io_failure(shown(request_.destination) + " cannot be removed", error.value());
        }
        const fs::path parent = request_.destination.parent_path();
        fs::create_directories(parent, error);
        if (error) {
            return io_failure(shown(parent) + " cannot be created", error.value());
        }
        struct statvfs space {};
        if (::statvfs(parent.c_str(), &space) != 0) {
            return io_failure(shown(parent) + " cannot be looked at", errno);
        }
        const std::uint64_t free = static_cast<std::uint64_t>(space.f_bavail) * space.f_frsize;
        if (needed > free) {
            return outcome::permanent("the source is " + size_words(needed) + " and the file system of " +
                                      shown(parent) + " has " + size_words(free) + " free");
        }
        return make_folder(request_.destination, destination_);
    }

    static outcome make_folder(const fs::path &path, unique_fd &into)
    {
        if (::mkdir(path.c_str(), 0755) == 0) {
            into.reset(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
        }
        if (!into || ::fchmod(into.get(), 0755) != 0) {
            return io_failure(shown(path) + " cannot be created", errno);
        }
        return outcome::ok();
    }

    outcome copy_folder(const opened_source &source)
    {
        unique_fd version;
        if (!shape_.is_model_folder()) {
            if (auto made = make_folder(request_.destination / "1", version); !made) {
                return made;
            }
        }
        const auto place = [&](std::string_view name, bool is_folder) {
            return shape_.is_model_folder() || stays_at_top(name, is_folder) ? destination_.get() : version.get();
        };
        tree_pass pass(area_, bounds_, stop_);
        if (auto copied = pass.copy_folder(source, path_.native(), place); !copied) {
            return copied;
        }
        if (!shape_.is_model_folder()) {
            if (auto named = name_only_onnx(request_.destination, shape_); !named) {
                return named;
            }
        }
        return fetched(pass);
    }

    outcome copy_file(const opened_source &source)
    {
        unique_fd version;
        if (auto made = make_folder(request_.destination / "1", version); !made) {
            return made;
        }
        std::optional<sha256> digest;
        if (!request_.sha256.empty()) {
            digest.emplace();
        }
        tree_pass pass(area_, bounds_, stop_);
        if (auto copied =
                pass.copy_one(source, path_.native(), version.get(),
                              single_file_name(path_.filename().native()).c_str(), digest ? &*digest : nullptr);
            !copied) {
            return copied;
        }
        if (digest) {
            const std::string is = digest->finish();
            if (!std::ranges::equal(is, request_.sha256, {}, {}, [](unsigned char c) { return std::tolower(c); })) {
                return outcome::permanent("the SHA-256 of " + shown(path_) + " is " + is + ", not " +
                                          request_.sha256);
            }
        }
        return fetched(pass);
    }

    static outcome fetched(const tree_pass &pass)
    {
        return outcome::ok(count_words(pass.files(), "file", "files") + ", " + size_words(pass.bytes()));
    }

    const fetch_request &request_;
    fs::path path_;
    const stop_flag &stop_;
    allowed_area area_;
    tree_bounds bounds_;
    folder_shape shape_;
    unique_fd destination_;
};


outcome fetch_now(const fetch_request &request, const stop_flag &stop)
{
    if (std::string refused = check_source(request.source, request.allow); !refused.empty()) {
        return outcome::permanent(std::move(refused));
    }
    if (!request.sha256.empty() && !is_sha256(request.sha256)) {
        return outcome::permanent("sha256 is not 64 hexadecimal digits");
    }
    const auto source = parse_file_source(request.source);
    if (!source) {
        return outcome::permanent(source.sentence());
    }
    return file_fetch(request, source->path, stop).run(source->is_folder);
}

} // namespace


operation_ptr fetch(uv_loop_t *loop, fetch_request request, done_fn done)
{
    return run_on_thread(
        loop, [request = std::move(request)](const stop_flag &stop) { return fetch_now(request, stop); },
        std::move(done));
}

} // namespace rollout
