// Which files are archives: by what they are called, and by what is in them.
#pragma once

#include "worker/async/outcome.hpp"

#include <string>
#include <string_view>

struct archive;

namespace rollout {

/// Lets the reader take a compression, if this libarchive has it itself: for what it has no library for, it runs a program.
/// False where memory is short.
bool support_built_in(archive *reader, int (*filter)(archive *));

enum class packing {
    none, ///< no archive by its name
    tar,  ///< however it is compressed
    zip,
    other, ///< an archive, or a part of one, that is not unpacked
};

/// Of a file's name, in any case of letters.
packing packing_of(std::string_view name) noexcept;

/// Is a file of that name taken for an archive, of any kind?
bool is_archive_name(std::string_view name) noexcept;

/// Permanent where the name is an archive's that is not unpacked. `shown`: for sentences.
outcome check_can_be_unpacked(std::string_view name, const std::string &shown);

/// Is it refused as a model's file? Permanent where its bytes are an archive's or compressed, and models of its name's format
/// are not: `model.pt` is a zip archive, `model.onnx` that is one was named wrongly. `fd` is open for reading; where it stands
/// is neither used nor changed. `shown`: for sentences.
outcome check_is_no_archive(int fd, std::string_view name, const std::string &shown);

} // namespace rollout
