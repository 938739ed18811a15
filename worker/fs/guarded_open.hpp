// Opens the final target of a path, only if that is in an allowed folder.
#pragma once

#include "common/base/unique_fd.hpp"
#include "worker/async/outcome.hpp"

#include <string>
#include <string_view>
#include <vector>

#include <sys/stat.h>

namespace rollout {

/// The allowed folders (or files) by their real paths, with links resolved.
class allowed_area {
  public:
    /// Takes absolute paths; those that do not exist are ignored.
    explicit allowed_area(const std::vector<std::string> &paths);

    /// Returns whether an absolute path without links is in the area.
    bool holds(std::string_view path) const noexcept;

  private:
    std::vector<std::string> real_paths_;
};

struct opened_source {
    unique_fd fd; ///< of a regular file or a folder, open for reading
    struct stat status {};

    bool is_folder() const noexcept { return S_ISDIR(status.st_mode); }
};

/// Opens `name` in `folder` (AT_FDCWD for an absolute path). Links are followed, and then the real path of the opened
/// file itself must be in `area`, so that swapping a link in between gains nothing. Devices, FIFOs and sockets are
/// refused before they are opened, since opening one can have side effects. `shown` is the name for messages.
outcome open_source(int folder, const char *name, const allowed_area &area, const std::string &shown,
                    opened_source &into);

} // namespace rollout
