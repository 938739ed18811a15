#include "worker/base/paths.hpp"

namespace rollout {

bool is_same_or_under(std::string_view path, std::string_view folder) noexcept
{
    if (folder == "/") {
        return path.starts_with('/');
    }
    return path.starts_with(folder) && (path.size() == folder.size() || path[folder.size()] == '/');
}

} // namespace rollout
