// Walks a source's folder within bounds and an allowed area, once to measure it and once to copy it.
#pragma once

#include "worker/async/outcome.hpp"
#include "worker/async/thread_work.hpp"
#include "worker/fs/guarded_open.hpp"

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include <sys/types.h>

namespace rollout {

class sha256;

struct tree_bounds {
    std::uint64_t max_bytes = 0; ///< of all files together
    std::uint64_t max_files = 0; ///< files and folders together
};

/// The maximum nesting of folders below the source.
inline constexpr std::size_t deepest_folder = 32;

/// One pass over a source. Links are followed where open_source follows them, and their targets are copied in their
/// place. The executable bit is all that is kept of a file's mode; files left behind (left_behind.hpp) are skipped.
class tree_pass {
  public:
    tree_pass(const allowed_area &area, tree_bounds bounds, const stop_flag &stop)
        : area_(area), bounds_(bounds), stop_(stop)
    {
    }

    /// Called for each entry of the source's own folder.
    using entry_fn = std::function<void(std::string_view name, bool is_folder)>;
    /// Returns the open folder that an entry of the source's own folder is copied to.
    using place_fn = std::function<int(std::string_view name, bool is_folder)>;

    outcome measure_folder(const opened_source &folder, const std::string &path, const entry_fn &entry);
    outcome copy_folder(const opened_source &folder, const std::string &path, const place_fn &place);

    outcome measure_file(const opened_source &file, const std::string &path);
    /// Copies into a new file `name` of the open folder `to`.
    outcome copy_one(const opened_source &file, const std::string &path, int to, const char *name, sha256 *digest);

    std::uint64_t files() const noexcept { return files_; }
    std::uint64_t bytes() const noexcept { return bytes_; }

  private:
    outcome walk(const opened_source &folder, const std::string &path, const place_fn &place, const entry_fn &entry);
    outcome walk_entry(int folder, const std::string &path, const char *name, const place_fn &place,
                       const entry_fn &entry);
    outcome enter(const opened_source &folder, const std::string &path, const char *name, int to);
    outcome count_entry();

    const allowed_area &area_;
    tree_bounds bounds_;
    const stop_flag &stop_;
    std::uint64_t entries_ = 0;
    std::uint64_t files_ = 0;
    std::uint64_t bytes_ = 0;
    std::vector<std::pair<dev_t, ino_t>> above_; ///< the folders above the current entry
};

} // namespace rollout
