#include "worker/etcd/rpc_thread.hpp"

#include "worker/etcd/rpc_environment.hpp"
#include "worker/os/signals.hpp"

#include <grpcpp/completion_queue.h>

#include <deque>
#include <mutex>
#include <utility>

namespace rollout::etcd {

struct rpc_thread::handover {
    struct ending {
        step *of;
        bool ok;
    };

    uv_async_t handle{};
    std::shared_ptr<handover> held_by_libuv; ///< until the handle is closed
    std::mutex mutex;
    std::deque<ending> arrived; ///< under the mutex
    std::deque<ending> taken;   ///< the loop's

    void put(step *of, bool ok)
    {
        {
            const std::lock_guard lock(mutex);
            arrived.push_back({of, ok});
        }
        uv_async_send(&handle);
    }

    void pass_on()
    {
        {
            const std::lock_guard lock(mutex);
            taken.insert(taken.end(), arrived.begin(), arrived.end());
            arrived.clear();
        }
        while (!taken.empty()) {
            const ending first = taken.front();
            taken.pop_front();
            first.of->ended(first.ok);
        }
    }
};


rpc_thread::rpc_thread(uv_loop_t *loop) : handover_(std::make_shared<handover>())
{
    use_rpc();
    queue_ = std::make_unique<grpc::CompletionQueue>();
    uv_async_init(loop, &handover_->handle, [](uv_async_t *handle) {
        const auto of = static_cast<handover *>(handle->data)->held_by_libuv; // a step may destroy this
        of->pass_on();
    });
    handover_->handle.data = handover_.get();
    handover_->held_by_libuv = handover_;
    thread_ = make_thread([queue = queue_.get(), to = handover_.get()](const std::stop_token &) {
        void *tag = nullptr;
        bool ok = false;
        while (queue->Next(&tag, &ok)) {
            to->put(static_cast<step *>(tag), ok);
        }
    });
}


rpc_thread::~rpc_thread()
{
    queue_->Shutdown();
    thread_.join();
    handover_->pass_on(); // nobody waits for these: they release their memory
    queue_.reset();
    uv_close(reinterpret_cast<uv_handle_t *>(&handover_->handle),
             [](uv_handle_t *handle) { static_cast<handover *>(handle->data)->held_by_libuv.reset(); });
}

} // namespace rollout::etcd
