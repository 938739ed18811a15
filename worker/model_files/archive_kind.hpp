// Recognizes archives by the names and the contents of files.
#pragma once

#include "worker/async/outcome.hpp"

#include <string>
#include <string_view>

struct archive;

namespace rollout {

/// Enables a compression if libarchive has built-in support for it; without the library, libarchive would run a program.
/// Returns false if memory is short.
bool support_built_in(archive *reader, int (*filter)(archive *));

enum class packing {
    none, ///< not an archive by its name
    tar,  ///< in any compression
    zip,
    other, ///< an archive, or a part of one, in a format that is not unpacked
};

/// Returns the kind of archive that a file's name stands for, ignoring case.
packing packing_of(std::string_view name) noexcept;

/// Returns whether a file of that name is taken for an archive of any kind.
bool is_archive_name(std::string_view name) noexcept;

/// Fails permanently if the name is that of an archive format that is not unpacked. `shown` is for messages.
outcome check_can_be_unpacked(std::string_view name, const std::string &shown);

/// Fails permanently if the file cannot be a model: if its contents are an archive or compressed, unless models of the
/// format in its name are (`model.pt` is a zip archive; a zip archive called `model.onnx` is misnamed). `fd` must be open
/// for reading; its offset is neither used nor changed. `shown` is for messages.
outcome check_is_no_archive(int fd, std::string_view name, const std::string &shown);

} // namespace rollout
