// A server's model repository, a folder on this machine's file system: how a model's files come into it and leave it, so
// that a server never sees half of one. All calls block and belong on a thread; all but `check_vacant` can run again.
#pragma once

#include "worker/async/outcome.hpp"
#include "worker/async/thread_work.hpp"

#include <filesystem>
#include <string>
#include <utility>

namespace rollout {

struct way_trouble {
    bool is_refused = false;        ///< only this process may not write there, which another user's may
    const char *member = "staging"; ///< of the backend's settings, that it is about
};

class model_repository {
  public:
    /// `staging`: on the repository's file system, outside of it.
    model_repository(std::filesystem::path repository, std::filesystem::path staging)
        : repository_(std::move(repository)), staging_(std::move(staging))
    {
    }

    std::filesystem::path staged(const std::string &model) const { return staging_ / model; }
    std::filesystem::path in_place(const std::string &model) const { return repository_ / model; }

    /// Can what is staged come into the repository? A file is made in the staging folder (or where that is still to
    /// be made), moved, and removed: whether a rename
    /// leads there shows in no other way, as one file system may be mounted at two places. Ok where the repository is not there.
    /// `trouble`, which may be null: what is wrong where it fails.
    outcome check_way(way_trouble *trouble = nullptr) const;

    /// Fails where the repository is missing or holds something by that name, something is withdrawn under it, or nothing
    /// that is staged could come there.
    outcome check_vacant(const std::string &model) const;

    /// Fits the staged model to its name, syncs it to the disk and renames it into the repository. Where nothing is staged
    /// and the model is in its place, a run before this one has done it. Fails where both are there: somebody else has put
    /// something into its place.
    outcome stage(const std::string &model, const stop_flag &stop) const;

    /// Takes the model out of the sight of a server that polls, in one step; its files stay. Ok where it is out already, or
    /// still staged.
    outcome withdraw(const std::string &model) const;

    /// Undoes `withdraw`. Ok where nothing is withdrawn.
    outcome put_back(const std::string &model) const;

    /// Moves the model out of the repository in one step and deletes it, as it does one that is withdrawn. Links are not
    /// followed. A model that is still staged never came into the repository: then what is there by its name is not ours and stays.
    outcome remove(const std::string &model) const;

    /// Deletes what is staged of it.
    outcome discard(const std::string &model) const;

  private:
    std::filesystem::path withdrawn(const std::string &model) const;
    outcome moved(const std::filesystem::path &from, const std::filesystem::path &to, int error) const;
    outcome check_there() const;
    outcome no_way(const std::filesystem::path &from, const std::filesystem::path &to, int error) const;
    outcome take_out(const std::string &model) const;
    outcome move_in(const std::string &model) const;

    std::filesystem::path repository_;
    std::filesystem::path staging_;
};

} // namespace rollout
