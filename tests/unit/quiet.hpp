// Keeps standard error silent for as long as it lives: for work that is done a thousand times over, whose log nobody reads.
// Assert outside of it.
#pragma once

#include <fcntl.h>
#include <unistd.h>

class quiet {
  public:
    quiet() : before_(::dup(STDERR_FILENO))
    {
        const int nowhere = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
        ::dup2(nowhere, STDERR_FILENO);
        ::close(nowhere);
    }
    ~quiet()
    {
        ::dup2(before_, STDERR_FILENO);
        ::close(before_);
    }
    quiet(const quiet &) = delete;
    quiet &operator=(const quiet &) = delete;

  private:
    int before_;
};
