// A loop of libuv's for a test of parts that use its threads. It is run until something has happened; no time is measured.
#pragma once

#include <uv.h>

#include <stdexcept>

class test_loop {
  public:
    test_loop() { uv_loop_init(&loop_); }
    ~test_loop()
    {
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
};
