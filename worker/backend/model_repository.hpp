// A server's model repository, a folder on this machine's file system. Model files enter and leave it so that the server
// never sees half a model. All calls block and belong on a thread; all but `check_vacant` can be repeated.
#pragma once

#include "worker/async/outcome.hpp"
#include "worker/async/thread_work.hpp"

#include <filesystem>
#include <memory>
#include <string>

namespace rollout {

struct way_trouble {
    bool is_refused = false;        ///< only this process may not write there; another user might
    const char *member = "staging"; ///< the member of the backend's settings that is at fault
};

/// Its copies are of the same repository, and share what they know of it.
class model_repository {
  public:
    /// `staging` must be on the repository's file system, outside the repository.
    model_repository(std::filesystem::path repository, std::filesystem::path staging);

    std::filesystem::path staged(const std::string &model) const { return staging_ / model; }
    std::filesystem::path in_place(const std::string &model) const { return repository_ / model; }

    /// Checks that staged files can be moved into the repository: creates a file in the staging folder (or in the folder
    /// where that would be created), moves it and removes it. Only a rename shows whether this works, since one file
    /// system may be mounted in two places. Ok if the repository does not exist. `trouble` (may be null) receives the
    /// details of a failure.
    outcome check_way(way_trouble *trouble = nullptr) const;

    /// Fails if the repository is missing or already holds something by that name, if a model of that name is withdrawn,
    /// or if staged files could not be moved into the repository (check_way, unless that was possible seconds ago).
    outcome check_vacant(const std::string &model) const;

    /// Sets the staged model's name in its configuration, syncs the model to disk and renames it into the repository. If
    /// nothing is staged and the model is already there, an earlier run has done it. Fails if both exist: somebody else
    /// has put something in the repository under this name.
    outcome stage(const std::string &model, const stop_flag &stop) const;

    /// Moves the model out of a polling server's sight in one step; its files stay. Ok if it is already out, or still
    /// staged.
    outcome withdraw(const std::string &model) const;

    /// Undoes `withdraw`. Ok if nothing is withdrawn.
    outcome put_back(const std::string &model) const;

    /// Moves the model out of the repository in one step and deletes it; also deletes a withdrawn one. Does not follow
    /// links. A model that is still staged has never entered the repository: what is there under its name is not ours and
    /// stays.
    outcome remove(const std::string &model) const;

    /// Deletes the model's staged files.
    outcome discard(const std::string &model) const;

  private:
    std::filesystem::path withdrawn(const std::string &model) const;
    outcome moved(const std::filesystem::path &from, const std::filesystem::path &to, int error) const;
    outcome check_there() const;
    outcome check_way_now_and_then() const;
    outcome no_way(const std::filesystem::path &from, const std::filesystem::path &to, int error) const;
    outcome take_out(const std::string &model) const;
    outcome move_in(const std::string &model) const;

    struct shared_state;

    std::filesystem::path repository_;
    std::filesystem::path staging_;
    std::shared_ptr<shared_state> shared_;
};

} // namespace rollout
