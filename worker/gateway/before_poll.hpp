// Calls a function in each turn of the loop, right before the loop waits, so that what the turn has gathered can be
// sent in one piece.
#pragma once

#include <uv.h>

#include <functional>
#include <memory>

namespace rollout {

/// Does not keep the loop alive. The loop outlives this, and runs once more after it is destroyed, so that libuv
/// releases the handle.
class before_poll {
  public:
    before_poll(uv_loop_t *loop, std::function<void()> call);
    ~before_poll();
    before_poll(const before_poll &) = delete;
    before_poll &operator=(const before_poll &) = delete;

  private:
    std::function<void()> call_;
    uv_prepare_t *handle_ = new uv_prepare_t{}; ///< lives until libuv has closed it
};

} // namespace rollout
