#include "module/page/page_files.hpp"

namespace rollout {

std::span<const page_file> page_files() noexcept
{
    return {};
}

} // namespace rollout
