// What an operating system, a file server or an archiver leaves among a model's files, and what is no part of a model.
#pragma once

#include <string_view>

namespace rollout {

/// Is a file or folder of that name (one component of a path) such a thing? macOS: `__MACOSX`, `._config.pbtxt`, `.DS_Store`;
/// Windows: `Thumbs.db`, `desktop.ini`, `$RECYCLE.BIN`; Linux: `lost+found`, NFS's `.nfs…`, Kubernetes' `..data`; NAS: `@eaDir`;
/// tar: `PaxHeader`. What belongs to an editor or to a version control may matter to a model, and is none.
bool is_left_behind(std::string_view name) noexcept;

} // namespace rollout
