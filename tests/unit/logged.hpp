// What a piece of work writes to its log.
#pragma once

#include "tests/unit/temporary_folder.hpp"

#include <functional>
#include <string>

#include <fcntl.h>
#include <unistd.h>

/// What is written to standard error meanwhile.
inline std::string logged(const std::function<void()> &work)
{
    const temporary_folder folder;
    const int before = ::dup(STDERR_FILENO);
    const int file = ::open((folder / "log").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    ::dup2(file, STDERR_FILENO);
    ::close(file);
    work();
    ::dup2(before, STDERR_FILENO);
    ::close(before);
    return folder.read("log");
}
