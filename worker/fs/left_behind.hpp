// Files that an operating system, a file server or an archiver leaves among a model's files, and that are not part of the
// model.
#pragma once

#include <string_view>

namespace rollout {

/// Returns whether a file or folder of that name (one path component) was left behind. macOS: `__MACOSX`, `._config.pbtxt`,
/// `.DS_Store`; Windows: `Thumbs.db`, `desktop.ini`, `$RECYCLE.BIN`; Linux: `lost+found`, NFS's `.nfs…`, Kubernetes'
/// `..data`; NAS: `@eaDir`; tar: `PaxHeader`. Files of editors or version control are not included: they may matter to a
/// model.
bool is_left_behind(std::string_view name) noexcept;

} // namespace rollout
