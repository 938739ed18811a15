#include "module/page/page_files.hpp"

#include <algorithm>

namespace rollout {

std::string_view last_segment(std::string_view uri) noexcept
{
    return uri.substr(uri.rfind('/') + 1);
}


const page_file *find_page_file(std::string_view uri) noexcept
{
    const auto files = page_files();
    const auto found = std::find_if(files.begin(), files.end(),
                                    [name = last_segment(uri)](const page_file &file) { return file.name == name; });
    return found != files.end() ? &*found : nullptr;
}

} // namespace rollout
