// Calls by gRPC on libuv's loop. gRPC works on threads of its own; one more thread waits for what they have done and hands it
// to the loop, so that nothing of ours runs on theirs and no callback runs anywhere but on the loop.
#pragma once

#include <uv.h>

#include <memory>
#include <thread>

namespace grpc {
class CompletionQueue;
} // namespace grpc

namespace rollout::etcd {

class rpc_thread {
  public:
    /// What gRPC does for a call: the tag that it is given for it. Owns itself until it has ended.
    class step {
      public:
        /// Runs once, on the loop. `ok` as in grpc::CompletionQueue::Next. May destroy everything, the rpc_thread too.
        virtual void ended(bool ok) = 0;

      protected:
        ~step() = default;
    };

    /// A signal_catcher must have been started. The loop must outlive it and run once more after it is destroyed.
    explicit rpc_thread(uv_loop_t *loop);

    /// Waits until gRPC has ended the calls that were abandoned, which it does at once: those who made them must have been
    /// destroyed.
    ~rpc_thread();
    rpc_thread(const rpc_thread &) = delete;
    rpc_thread &operator=(const rpc_thread &) = delete;

    grpc::CompletionQueue *queue() noexcept { return queue_.get(); }

  private:
    struct handover;

    std::shared_ptr<handover> handover_;
    std::unique_ptr<grpc::CompletionQueue> queue_;
    std::jthread thread_;
};

} // namespace rollout::etcd
