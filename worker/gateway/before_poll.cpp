#include "worker/gateway/before_poll.hpp"

#include <utility>

namespace rollout {

before_poll::before_poll(uv_loop_t *loop, std::function<void()> call) : call_(std::move(call))
{
    uv_prepare_init(loop, handle_);
    handle_->data = this;
    uv_prepare_start(handle_, [](uv_prepare_t *handle) { static_cast<before_poll *>(handle->data)->call_(); });
    uv_unref(reinterpret_cast<uv_handle_t *>(handle_));
}


before_poll::~before_poll()
{
    uv_close(reinterpret_cast<uv_handle_t *>(handle_),
             [](uv_handle_t *handle) { delete reinterpret_cast<uv_prepare_t *>(handle); });
}

} // namespace rollout
