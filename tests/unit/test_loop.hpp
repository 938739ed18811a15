// A loop of libuv's for a test of parts that use its threads. It is run until something has happened; no time is measured.
// SIGPIPE is ignored, as rolloutd does: whoever is written to may be gone.
#pragma once

#include <uv.h>

#include <csignal>
#include <stdexcept>

class test_loop {
  public:
    test_loop()
    {
        std::signal(SIGPIPE, SIG_IGN);
        uv_loop_init(&loop_);
        uv_timer_init(&loop_, &tick_);
        uv_timer_start(
            &tick_, [](uv_timer_t *) {}, 1, 1);
        uv_unref(reinterpret_cast<uv_handle_t *>(&tick_));
    }
    ~test_loop()
    {
        uv_close(reinterpret_cast<uv_handle_t *>(&tick_), nullptr);
        uv_run(&loop_, UV_RUN_DEFAULT);
        uv_loop_close(&loop_);
    }
    test_loop(const test_loop &) = delete;
    test_loop &operator=(const test_loop &) = delete;

    uv_loop_t *get() noexcept { return &loop_; }

    /// Throws where nothing is left that could make it true.
    template <typename Condition>
    void run_until(const Condition &condition)
    {
        while (!condition()) {
            if (uv_run(&loop_, UV_RUN_ONCE) == 0 && !condition()) {
                throw std::runtime_error("the loop has nothing to do any more");
            }
        }
    }

  private:
    uv_loop_t loop_{};
    uv_timer_t tick_{}; ///< what the loop does before it waits may make a condition true that no event tells of
};
