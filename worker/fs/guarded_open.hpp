// Opens what a path finally leads to, and only where that lies in an allowed folder.
#pragma once

#include "common/base/unique_fd.hpp"
#include "worker/async/outcome.hpp"

#include <string>
#include <string_view>
#include <vector>

#include <sys/stat.h>

namespace rollout {

/// The allowed folders (or files) as the kernel knows them, links resolved.
class allowed_area {
  public:
    /// Absolute paths; those that are not there are left out.
    explicit allowed_area(const std::vector<std::string> &paths);

    /// Of an absolute path without links.
    bool holds(std::string_view path) const noexcept;

  private:
    std::vector<std::string> real_paths_;
};

struct opened_source {
    unique_fd fd; ///< of a regular file or a folder, open for reading
    struct stat status {};

    bool is_folder() const noexcept { return S_ISDIR(status.st_mode); }
};

/// Opens `name` in `folder` (AT_FDCWD for an absolute path). Links are followed, and then it is the place of the very file
/// that is open that must lie in `area`: swapping a link meanwhile gains nothing. Devices, FIFOs and sockets are refused
/// before they are opened, since opening one can have an effect. `shown` names it in sentences.
outcome open_source(int folder, const char *name, const allowed_area &area, const std::string &shown,
                    opened_source &into);

} // namespace rollout
