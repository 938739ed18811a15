// The operator's page as it is embedded into the module. page/build.mjs makes the files' source from page/src.
#pragma once

#include <span>
#include <string_view>

namespace rollout {

/// One file of the page, in both forms in which it is sent.
struct page_file {
    std::string_view name; ///< the last segment of its URI; empty for the document itself
    std::string_view type; ///< its Content-Type
    std::string_view hash; ///< changes with the content
    std::string_view plain;
    std::string_view gzip;
};

/// Returns all files of the page; none if the module is built without it (ROLLOUT_PAGE=OFF).
std::span<const page_file> page_files() noexcept;

/// Returns the file that the last segment of a URI names; null if there is none.
const page_file *find_page_file(std::string_view uri) noexcept;

/// Returns the last segment of a URI: what follows its last slash.
std::string_view last_segment(std::string_view uri) noexcept;

} // namespace rollout
