#include "worker/backend/model_repository.hpp"

#include "common/base/unique_fd.hpp"
#include "worker/base/format.hpp"
#include "worker/fs/io_failure.hpp"
#include "worker/fs/rename.hpp"
#include "worker/fs/shared_sync.hpp"
#include "worker/fs/sync_tree.hpp"
#include "worker/model_files/model_name.hpp"

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

namespace rollout {
namespace {

namespace fs = std::filesystem;

/// In the staging folder: holds what has left the repository and is being deleted. No model can have this name.
constexpr const char *removed_folder = ".removed";

/// In the staging folder: holds the models that a polling server is to unload, complete.
constexpr const char *withdrawn_folder = ".withdrawn";

/// The file that is created, moved and removed to test whether that is possible.
constexpr const char *probe_name = ".rollout-probe";

/// How long a successful test is relied on.
constexpr auto way_stays_open = std::chrono::seconds(10);

/// The name is already checked; this is a safeguard, since a wrong name would delete the wrong folder.
outcome check_name(const std::string &model)
{
    const bool plain = !model.empty() && model.front() != '.' && model.find('/') == std::string::npos &&
                       model.find('\0') == std::string::npos;
    return plain ? outcome::ok() : outcome::permanent("the model's name is not a valid folder name");
}


enum class found { nothing, folder, other };

outcome inspect(const fs::path &path, found &what)
{
    struct stat status {};
    if (::lstat(path.c_str(), &status) != 0) {
        what = found::nothing;
        return errno == ENOENT || errno == ENOTDIR ? outcome::ok()
                                                   : io_failure(shown(path) + " cannot be looked at", errno);
    }
    what = S_ISDIR(status.st_mode) ? found::folder : found::other;
    return outcome::ok();
}


outcome occupied(const fs::path &place)
{
    return outcome::permanent("the model repository holds " + shown(place) +
                              " already, which no deployment put there: move it away and deploy again");
}


bool is_read_only(const fs::path &path) noexcept
{
    struct statvfs system {};
    return ::statvfs(path.c_str(), &system) == 0 && (system.f_flag & ST_RDONLY) != 0;
}


using rename_fn = int (*)(const fs::path &from, const fs::path &to, const char *point);

/// Moves a folder into the folder for removed models, creating that. Another model's removal may delete that folder in
/// between; then it is created again. `failed` receives an errno, or 0.
outcome move_to_bin(const fs::path &from, const fs::path &to, rename_fn rename, const char *point, int &failed)
{
    const fs::path bin = to.parent_path();
    failed = ENOENT;
    for (int attempt = 0; failed == ENOENT && attempt < 100; ++attempt) {
        std::error_code error;
        fs::create_directories(bin, error);
        if (error) {
            return io_failure(shown(bin) + " cannot be created", error.value());
        }
        failed = rename(from, to, point);
    }
    return outcome::ok();
}


outcome delete_tree(const fs::path &path)
{
    std::error_code error;
    fs::remove_all(path, error);
    return error ? io_failure(shown(path) + " cannot be removed", error.value()) : outcome::ok();
}

} // namespace


struct model_repository::shared_state {
    shared_state(const fs::path &repository, const fs::path &staging)
        : syncs{{repository, sync_folder}, {staging, sync_folder}}
    {
    }

    /// Syncs a folder that each deployment changes together with others, and any other by itself.
    outcome sync(const fs::path &folder)
    {
        for (auto &shared : syncs) {
            if (shared.folder() == folder) {
                return shared.run();
            }
        }
        return sync_folder(folder);
    }

    std::atomic<std::chrono::steady_clock::time_point> way_was_open =
        std::chrono::steady_clock::now() - way_stays_open;
    shared_sync syncs[2];
};


model_repository::model_repository(fs::path repository, fs::path staging)
    : repository_(std::move(repository)), staging_(std::move(staging)),
      shared_(std::make_shared<shared_state>(repository_, staging_))
{
}


outcome model_repository::check_way(way_trouble *trouble) const
{
    std::error_code error;
    if (!fs::is_directory(repository_, error)) {
        return outcome::ok();
    }
    const auto failed = [&](const fs::path &from, const fs::path &to, int number) {
        if (trouble != nullptr) {
            const bool is_refused = number == EACCES || number == EPERM;
            const bool is_repositorys = !to.empty() && (is_refused || (is_read_only(to) && !is_read_only(from)));
            *trouble = {is_refused, is_repositorys ? "repository" : "staging"};
        }
        return no_way(from, to, number);
    };
    // If the staging folder does not exist yet: a check that runs as another user must not create it as that user's.
    fs::path place = staging_;
    while (!fs::is_directory(place, error) && place.has_relative_path()) {
        place = place.parent_path();
    }
    // Servers look for folders in their repository, not for files.
    const fs::path from = place / probe_name;
    const fs::path to = repository_ / probe_name;
    const unique_fd file(::open(from.c_str(), O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!file) {
        const int number = errno;
        return number == EROFS || number == EACCES || number == EPERM ? failed(place, {}, number) : outcome::ok();
    }
    const int number = rename_probe(from, to);
    ::unlink(from.c_str());
    ::unlink(to.c_str());
    // Any other error is left to the operation on the real files.
    return number == EXDEV || number == EROFS || number == EACCES || number == EPERM
               ? failed(staging_, repository_, number)
               : outcome::ok();
}


/// If each of a thousand models had its file created and removed, ext4 without a journal of its own would search longer
/// and longer for an inode: it does not use one again in the minutes after its removal.
outcome model_repository::check_way_now_and_then() const
{
    const auto now = std::chrono::steady_clock::now();
    if (now - shared_->way_was_open.load() < way_stays_open) {
        return outcome::ok(); // if it is closed by now, the rename says the same, after the fetch
    }
    auto way = check_way();
    if (way) {
        shared_->way_was_open = now;
    }
    return way;
}


outcome model_repository::check_vacant(const std::string &model) const
{
    if (auto plain = check_name(model); !plain) {
        return plain;
    }
    if (auto there = check_there(); !there) {
        return there;
    }
    found holds{};
    if (auto inspected = inspect(in_place(model), holds); !inspected) {
        return inspected;
    }
    if (holds != found::nothing) {
        return occupied(in_place(model));
    }
    if (auto inspected = inspect(withdrawn(model), holds); !inspected) {
        return inspected;
    }
    if (holds == found::nothing) {
        return check_way_now_and_then();
    }
    return outcome::permanent("the files of an earlier model by that name are kept in " + shown(withdrawn(model)) +
                              ": move them away and deploy again");
}


outcome model_repository::stage(const std::string &model, const stop_flag &stop) const
{
    if (auto plain = check_name(model); !plain) {
        return plain;
    }
    if (auto there = check_there(); !there) {
        return there;
    }
    const fs::path from = staged(model);
    found waiting{};
    found holds{};
    if (auto inspected = inspect(from, waiting); !inspected) {
        return inspected;
    }
    if (auto inspected = inspect(in_place(model), holds); !inspected) {
        return inspected;
    }
    if (waiting == found::nothing && holds == found::folder) {
        return shared_->sync(repository_);
    }
    if (waiting != found::folder) {
        return outcome::permanent(shown(from) + (waiting == found::nothing ? " is gone" : " is not a folder") +
                                  ": there is nothing to put into the model repository");
    }
    if (holds != found::nothing) {
        return occupied(in_place(model));
    }
    if (auto fitted = fit_model_name(from, model); !fitted) {
        return fitted;
    }
    if (auto synced = sync_tree(from, stop); !synced) {
        return synced;
    }
    return stop ? outcome::canceled() : move_in(model);
}


outcome model_repository::withdraw(const std::string &model) const
{
    if (auto plain = check_name(model); !plain) {
        return plain;
    }
    found holds{};
    if (auto inspected = inspect(staged(model), holds); !inspected || holds != found::nothing) {
        return inspected;
    }
    if (auto inspected = inspect(in_place(model), holds); !inspected || holds == found::nothing) {
        return inspected;
    }
    int failed = 0;
    if (auto result = move_to_bin(in_place(model), withdrawn(model), rename_to_nothing, "withdraw", failed);
        !result) {
        return result;
    }
    if (found there{}; failed == ENOENT && inspect(withdrawn(model), there) && there != found::nothing) {
        return outcome::ok(); // another server that shares the repository has moved it
    }
    return moved(in_place(model), withdrawn(model), failed);
}


outcome model_repository::put_back(const std::string &model) const
{
    if (auto plain = check_name(model); !plain) {
        return plain;
    }
    found kept{};
    if (auto inspected = inspect(withdrawn(model), kept); !inspected || kept == found::nothing) {
        return inspected;
    }
    auto back =
        moved(withdrawn(model), in_place(model), rename_to_nothing(withdrawn(model), in_place(model), "put_back"));
    ::rmdir(withdrawn(model).parent_path().c_str()); // stays while another model is in it
    return back;
}


outcome model_repository::remove(const std::string &model) const
{
    if (auto plain = check_name(model); !plain) {
        return plain;
    }
    found waiting{};
    if (auto inspected = inspect(staged(model), waiting); !inspected) {
        return inspected;
    }
    if (waiting != found::nothing) {
        return delete_tree(staged(model));
    }
    auto gone = delete_tree(withdrawn(model));
    ::rmdir(withdrawn(model).parent_path().c_str()); // stays while another model is in it
    return gone ? take_out(model) : gone;
}


outcome model_repository::discard(const std::string &model) const
{
    auto plain = check_name(model);
    return plain ? delete_tree(staged(model)) : plain;
}


fs::path model_repository::withdrawn(const std::string &model) const
{
    return staging_ / withdrawn_folder / model;
}


outcome model_repository::check_there() const
{
    std::error_code error;
    if (!fs::is_directory(repository_, error)) {
        return outcome::permanent("the model repository " + shown(repository_) +
                                  " is not there (the backend's member \"repository\")");
    }
    return outcome::ok();
}


/// Moves the model out of the server's sight with one rename, then deletes it.
outcome model_repository::take_out(const std::string &model) const
{
    const fs::path bin = staging_ / removed_folder;
    const fs::path removed = bin / model;
    if (auto cleared = delete_tree(removed); !cleared) {
        return cleared;
    }
    found holds{};
    if (auto inspected = inspect(in_place(model), holds); !inspected || holds == found::nothing) {
        ::rmdir(bin.c_str()); // left by a run that was killed
        return inspected;
    }
    int failed = 0;
    if (auto result = move_to_bin(in_place(model), removed, rename_over, "take_out", failed); !result) {
        return result;
    }
    if (failed != 0) {
        if (failed != EXDEV) {
            return io_failure(shown(in_place(model)) + " cannot be moved out of the repository", failed);
        }
        // It cannot be moved; the server no longer has it loaded, so it can be deleted file by file.
        if (auto gone = delete_tree(in_place(model)); !gone) {
            return gone;
        }
    }
    if (auto synced = shared_->sync(repository_); !synced) {
        return synced;
    }
    outcome gone = delete_tree(removed);
    ::rmdir(bin.c_str()); // stays while another model is being deleted
    return gone;
}


outcome model_repository::move_in(const std::string &model) const
{
    return moved(staged(model), in_place(model), rename_to_nothing(staged(model), in_place(model), "put_in"));
}


/// Explains why nothing can be moved from `from` to `to`, or, if `to` is empty, be created in `from`.
outcome model_repository::no_way(const fs::path &from, const fs::path &to, int error) const
{
    // For two mounts, the kernel reports first that they are two.
    if (error == EXDEV || error == EROFS) {
        for (const auto &[folder, member] : {std::pair(staging_, "staging"), std::pair(repository_, "repository")}) {
            if (is_read_only(folder) || (error == EROFS && to.empty() && folder == from)) {
                return outcome::permanent(shown(folder) + " (the backend's member \"" + member +
                                          "\") is on a file system that is mounted read-only: mount it for writing "
                                          "where rolloutd runs");
            }
        }
    }
    if (error == EXDEV) {
        return outcome::permanent(
            shown(staging_) + " and the model repository " + shown(repository_) +
            " are on different file systems, or different mounts of one: set the backend's member "
            "\"staging\" to a folder on the repository's");
    }
    return io_failure(to.empty() ? "nothing can be made in " + shown(from)
                                 : shown(from) + " cannot be moved to " + shown(to),
                      error);
}


/// Returns the outcome of a rename between the repository and the folders next to it.
outcome model_repository::moved(const fs::path &from, const fs::path &to, int error) const
{
    if (error != 0) {
        if (error == EEXIST || error == ENOTEMPTY) {
            return occupied(to);
        }
        return no_way(from, to, error);
    }
    // In this order: a file system that does not rename as one must not lose the entry in both.
    const auto synced = shared_->sync(to.parent_path());
    return synced ? shared_->sync(from.parent_path()) : synced;
}

} // namespace rollout
