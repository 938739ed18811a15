// A writer that could be killed at any instruction: it runs in a process of its own, one instruction at a time, and a
// test looks at each state of the memory that a kill would leave behind.
#pragma once

#include "module/tables/record_store.hpp"

#include <csignal>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <stdexcept>

#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

/// A block that processes share, formatted as a record_store.
class shared_block {
  public:
    static constexpr std::size_t bytes = rollout::record_store::min_bytes;

    shared_block() : memory_(mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0))
    {
        if (memory_ == MAP_FAILED) {
            throw std::runtime_error("no shared memory");
        }
        rollout::record_store::format(memory_, bytes);
    }
    ~shared_block() { munmap(memory_, bytes); }
    shared_block(const shared_block &) = delete;
    shared_block &operator=(const shared_block &) = delete;

    void *get() const noexcept { return memory_; }

  private:
    void *memory_;
};

enum class stepped { to_the_end, not_allowed, astray };

/// Runs `write()` in a child process and calls `look(memory)` for each state of the block that it leaves from one
/// instruction to the next, with a copy that `look` may change. `not_allowed` where a process may not trace another.
template <class Write, class Look>
stepped step_through(const shared_block &block, Write write, Look look)
{
    using bytes_ptr = std::unique_ptr<unsigned char, decltype(&std::free)>;
    const bytes_ptr seen(static_cast<unsigned char *>(std::aligned_alloc(64, shared_block::bytes)), &std::free);
    const bytes_ptr copy(static_cast<unsigned char *>(std::aligned_alloc(64, shared_block::bytes)), &std::free);
    std::memcpy(seen.get(), block.get(), shared_block::bytes);

    const pid_t child = fork();
    if (child == 0) {
        if (ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) {
            _exit(77);
        }
        raise(SIGSTOP);
        write();
        _exit(0);
    }
    int status = 0;
    if (waitpid(child, &status, 0) != child) {
        return stepped::astray;
    }
    if (WIFEXITED(status)) {
        return WEXITSTATUS(status) == 77 ? stepped::not_allowed : stepped::astray;
    }
    // A test that fails jumps out of `look`; the child must not be left behind then.
    ptrace(PTRACE_SETOPTIONS, child, nullptr, PTRACE_O_EXITKILL);

    constexpr long enough_steps = 3'000'000;
    for (long step = 0; step < enough_steps; ++step) {
        if (ptrace(PTRACE_SINGLESTEP, child, nullptr, nullptr) != 0 || waitpid(child, &status, 0) != child) {
            return stepped::astray;
        }
        if (WIFEXITED(status)) {
            return WEXITSTATUS(status) == 0 ? stepped::to_the_end : stepped::astray;
        }
        if (!WIFSTOPPED(status) || WSTOPSIG(status) != SIGTRAP) {
            break;
        }
        if (std::memcmp(seen.get(), block.get(), shared_block::bytes) != 0) {
            std::memcpy(seen.get(), block.get(), shared_block::bytes);
            std::memcpy(copy.get(), block.get(), shared_block::bytes);
            look(static_cast<void *>(copy.get()));
        }
    }
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
    return stepped::astray;
}
