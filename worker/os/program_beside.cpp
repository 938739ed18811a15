#include "worker/os/program_beside.hpp"

#include <cerrno>
#include <filesystem>
#include <system_error>

#include <unistd.h>

namespace rollout {

std::string become_program_beside(const std::string &name, char **arguments)
{
    std::error_code failed;
    const auto self = std::filesystem::read_symlink("/proc/self/exe", failed);
    if (failed) {
        return "/proc/self/exe cannot be read: " + failed.message();
    }
    const auto program = self.parent_path() / name;
    ::execv(program.c_str(), arguments);
    return program.string() + " cannot be started: " + std::generic_category().message(errno);
}

} // namespace rollout
