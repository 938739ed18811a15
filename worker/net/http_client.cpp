#include "worker/net/http_client.hpp"

#include "worker/async/timer.hpp"
#include "worker/base/format.hpp"
#include "worker/net/http_transfer.hpp"

#include <curl/curl.h>

#include <deque>
#include <new>
#include <stdexcept>
#include <unordered_map>
#include <unordered_set>
#include <utility>

namespace rollout {
namespace {

/// A descriptor of libcurl's, watched by libuv. It frees itself once libuv has closed its handle.
struct watched_socket {
    uv_poll_t handle{};
    curl_socket_t descriptor = CURL_SOCKET_BAD;
};

using multi_ptr = std::unique_ptr<CURLM, curl_releaser<curl_multi_cleanup>>;

} // namespace


class http_client::implementation : public std::enable_shared_from_this<implementation> {
  public:
    explicit implementation(uv_loop_t *on) : loop(on), curl_timer_(on), delivery_(on)
    {
        multi_.reset(curl_is_started() ? curl_multi_init() : nullptr);
        if (!multi_) {
            throw std::runtime_error("libcurl could not be started");
        }
        curl_multi_setopt(multi_.get(), CURLMOPT_SOCKETFUNCTION, &implementation::on_socket);
        curl_multi_setopt(multi_.get(), CURLMOPT_SOCKETDATA, this);
        curl_multi_setopt(multi_.get(), CURLMOPT_TIMERFUNCTION, &implementation::on_timer);
        curl_multi_setopt(multi_.get(), CURLMOPT_TIMERDATA, this);
    }

    ~implementation() { close(); }

    std::shared_ptr<http_transfer> begin(http_request request, std::function<void(http_answer)> done)
    {
        auto transfer = std::make_shared<http_transfer>();
        if (!multi_) {
            return transfer;
        }
        transfer->request = std::move(request);
        transfer->done = std::move(done);
        if (prepare(*transfer) && !start(transfer)) {
            transfer->answer.error = "no memory for a request to " + transfer->origin;
        }
        if (!transfer->answer.error.empty()) {
            deliver_soon(transfer);
        }
        return transfer;
    }

    void cancel(const std::shared_ptr<http_transfer> &of)
    {
        if (of->done && drop(*of)) {
            of->answer = {};
            of->answer.error = "canceled";
            of->answer.canceled = true;
            deliver_soon(of);
        }
    }

    void abandon(http_transfer &of) noexcept
    {
        of.done = nullptr;
        drop(of);
    }

    void close() noexcept
    {
        if (!multi_) {
            return;
        }
        // Empty the members first: the callbacks may hold operations, whose destructors access the members.
        const auto active = std::exchange(active_, {});
        const auto ended = std::exchange(ended_, {});
        for (const auto &[easy, of] : active) {
            curl_multi_remove_handle(multi_.get(), easy);
            of->easy.reset();
            of->done = nullptr;
        }
        for (const auto &of : ended) {
            of->done = nullptr;
        }
        multi_.reset(); // removes its sockets through on_socket
        for (watched_socket *left : std::exchange(sockets_, {})) {
            close_socket(left);
        }
        curl_timer_.stop();
        delivery_.stop();
    }

    uv_loop_t *const loop;

  private:
    bool start(const std::shared_ptr<http_transfer> &of)
    {
        active_.emplace(of->easy.get(), of);
        if (curl_multi_add_handle(multi_.get(), of->easy.get()) != CURLM_OK) {
            active_.erase(of->easy.get());
            return false;
        }
        return true;
    }

    /// Removes a transfer from libcurl; returns false if it has already ended.
    bool drop(http_transfer &of) noexcept
    {
        const auto found = active_.find(of.easy.get());
        if (!of.easy || found == active_.end()) {
            return false;
        }
        const auto held = std::move(found->second);
        active_.erase(found);
        curl_multi_remove_handle(multi_.get(), of.easy.get());
        of.easy.reset();
        return true;
    }

    void act(curl_socket_t descriptor, int events)
    {
        int running = 0;
        curl_multi_socket_action(multi_.get(), descriptor, events, &running);
        int more = 0;
        while (const CURLMsg *message = curl_multi_info_read(multi_.get(), &more)) {
            if (message->msg != CURLMSG_DONE) {
                continue;
            }
            const CURLcode code = message->data.result; // the message is invalid once its handle is removed
            const auto of = active_.at(message->easy_handle);
            settle(*of, code);
            drop(*of);
            ended_.push_back(of);
        }
        deliver();
    }

    /// Runs the callbacks of ended transfers. Called only from the loop: a callback may send, cancel, and destroy
    /// operations or the client itself.
    void deliver()
    {
        const auto alive = shared_from_this();
        while (!ended_.empty()) {
            const auto of = std::move(ended_.front());
            ended_.pop_front();
            if (const auto done = std::exchange(of->done, nullptr)) {
                done(std::move(of->answer));
            }
        }
    }

    void deliver_soon(const std::shared_ptr<http_transfer> &of)
    {
        ended_.push_back(of);
        delivery_.start(std::chrono::milliseconds(0), [this] { deliver(); });
    }

    static int on_timer(CURLM *, long after_ms, void *self) noexcept
    {
        auto &client = *static_cast<implementation *>(self);
        if (after_ms < 0) {
            client.curl_timer_.stop();
        } else {
            client.curl_timer_.start(std::chrono::milliseconds(after_ms),
                                     [&client] { client.act(CURL_SOCKET_TIMEOUT, 0); });
        }
        return 0;
    }

    static int on_socket(CURL *, curl_socket_t descriptor, int what, void *self, void *known) noexcept
    {
        auto &client = *static_cast<implementation *>(self);
        auto *socket = static_cast<watched_socket *>(known);
        if (what == CURL_POLL_REMOVE) {
            if (socket != nullptr && client.sockets_.erase(socket) == 1) {
                close_socket(socket);
            }
            return 0;
        }
        if (!client.multi_) {
            return 0;
        }
        if (socket == nullptr) {
            socket = client.watch(descriptor);
            if (socket == nullptr) {
                return -1;
            }
            curl_multi_assign(client.multi_.get(), descriptor, socket);
        }
        const int events =
            ((what & CURL_POLL_IN) != 0 ? UV_READABLE : 0) | ((what & CURL_POLL_OUT) != 0 ? UV_WRITABLE : 0);
        return uv_poll_start(&socket->handle, events, &implementation::on_events) == 0 ? 0 : -1;
    }

    watched_socket *watch(curl_socket_t descriptor) noexcept
    {
        try {
            auto socket = std::make_unique<watched_socket>();
            socket->descriptor = descriptor;
            if (uv_poll_init_socket(loop, &socket->handle, descriptor) != 0) {
                return nullptr;
            }
            socket->handle.data = this;
            sockets_.insert(socket.get());
            return socket.release();
        } catch (const std::bad_alloc &) {
            return nullptr;
        }
    }

    static void on_events(uv_poll_t *handle, int status, int events)
    {
        auto &client = *static_cast<implementation *>(handle->data);
        const curl_socket_t descriptor = reinterpret_cast<watched_socket *>(handle)->descriptor;
        const int flags = status < 0 ? CURL_CSELECT_ERR
                                     : ((events & UV_READABLE) != 0 ? CURL_CSELECT_IN : 0) |
                                           ((events & UV_WRITABLE) != 0 ? CURL_CSELECT_OUT : 0);
        client.act(descriptor, flags);
    }

    static void close_socket(watched_socket *socket) noexcept
    {
        // Stops watching at once: libcurl may close the descriptor as soon as this returns.
        uv_close(reinterpret_cast<uv_handle_t *>(&socket->handle),
                 [](uv_handle_t *handle) { delete reinterpret_cast<watched_socket *>(handle); });
    }

    timer curl_timer_;
    timer delivery_; ///< for those that end outside the loop's own call: cancels, requests that could not start
    std::unordered_set<watched_socket *> sockets_;
    std::unordered_map<CURL *, std::shared_ptr<http_transfer>> active_;
    std::deque<std::shared_ptr<http_transfer>> ended_; ///< their callbacks have not run yet
    multi_ptr multi_;                                  ///< null once closed
};


namespace {

class http_operation final : public operation {
  public:
    using cancel_fn = std::function<void(const std::shared_ptr<http_transfer> &, bool abandon)>;

    http_operation(std::shared_ptr<http_transfer> of, cancel_fn cancel)
        : transfer_(std::move(of)), cancel_(std::move(cancel))
    {
    }
    ~http_operation() override { cancel_(transfer_, true); }
    void cancel() override { cancel_(transfer_, false); }

  private:
    std::shared_ptr<http_transfer> transfer_;
    cancel_fn cancel_;
};

} // namespace


http_client::http_client(uv_loop_t *loop) : implementation_(std::make_shared<implementation>(loop)) {}


http_client::~http_client()
{
    close();
}


operation_ptr http_client::send(http_request request, std::function<void(http_answer)> done)
{
    auto of = implementation_->begin(std::move(request), std::move(done));
    // The operations may outlive the client.
    return std::make_unique<http_operation>(
        std::move(of),
        [client = std::weak_ptr(implementation_)](const std::shared_ptr<http_transfer> &which, bool abandon) {
            if (const auto alive = client.lock()) {
                abandon ? alive->abandon(*which) : alive->cancel(which);
            }
        });
}


void http_client::close()
{
    implementation_->close();
}


uv_loop_t *http_client::loop() const noexcept
{
    return implementation_->loop;
}

} // namespace rollout
