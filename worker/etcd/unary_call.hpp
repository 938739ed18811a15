// One call with one answer.
#pragma once

#include "worker/etcd/arena_message.hpp"
#include "worker/etcd/rpc_thread.hpp"
#include "worker/etcd/service_stubs.hpp"

#include <grpcpp/client_context.h>
#include <grpcpp/support/async_unary_call.h>

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <utility>

namespace rollout::etcd {

/// A call under way. Destroying it abandons the call.
class pending_rpc {
  public:
    virtual ~pending_rpc() = default;
};

/// Metadata of a call.
inline void prepare(grpc::ClientContext &context, const std::string &token)
{
    context.AddMetadata("hasleader", "true"); // else a member without a leader lets its clients wait
    if (!token.empty()) {
        context.AddMetadata("token", token);
    }
}

template <typename Response>
using unary_done = std::function<void(const grpc::Status &, const Response &)>;

template <typename Response>
class unary_call final : public rpc_thread::step {
  public:
    /// `begin(context, queue)` returns the stub's reader. The callback runs on the loop, never from inside here, and may
    /// destroy the call.
    template <typename Begin>
    static std::unique_ptr<pending_rpc> start(rpc_thread &thread, std::shared_ptr<const service_stubs> stubs,
                                              const std::string &token, std::chrono::milliseconds timeout,
                                              const Begin &begin, unary_done<Response> done)
    {
        auto *made = new unary_call(std::move(stubs), std::move(done));
        auto held = std::make_unique<handle>(made->done_, made);
        prepare(made->context_, token);
        made->context_.set_deadline(gpr_time_from_millis(timeout.count(), GPR_TIMESPAN));
        made->reader_ = begin(&made->context_, thread.queue());
        made->reader_->Finish(&*made->response_, &made->status_, static_cast<rpc_thread::step *>(made));
        return held;
    }

    void ended(bool) override
    {
        const std::unique_ptr<unary_call> self(this);
        if (const auto call = std::exchange(*done_, nullptr)) {
            call(status_, *response_);
        }
    }

  private:
    using shared_done = std::shared_ptr<unary_done<Response>>; ///< null once it has run, or if nobody waits

    class handle final : public pending_rpc {
      public:
        handle(shared_done done, unary_call *of) : done_(std::move(done)), of_(of) {}
        ~handle() override
        {
            if (*done_) {
                *done_ = nullptr;
                of_->context_.TryCancel();
            }
        }

      private:
        shared_done done_;
        unary_call *of_; ///< lives while `done_` is there
    };

    unary_call(std::shared_ptr<const service_stubs> stubs, unary_done<Response> done)
        : stubs_(std::move(stubs)), done_(std::make_shared<unary_done<Response>>(std::move(done)))
    {
    }

    std::shared_ptr<const service_stubs> stubs_; ///< the reader is of one of them
    grpc::ClientContext context_;
    arena_message<Response> response_;
    grpc::Status status_;
    std::unique_ptr<grpc::ClientAsyncResponseReader<Response>> reader_;
    shared_done done_;
};

} // namespace rollout::etcd
