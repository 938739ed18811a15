// HTTP requests to inference servers on rolloutd's loop, by libcurl's multi interface, without a thread for each.
#pragma once

#include "worker/async/outcome.hpp"

#include <uv.h>

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>

namespace rollout {

struct http_request {
    std::string method = "GET"; ///< GET or POST
    std::string url;
    std::string body; ///< for a POST, sent as application/json
    std::chrono::milliseconds timeout{30000};
    std::size_t max_answer_bytes = 1024 * 1024; ///< a longer answer is cut off and fails
};

struct http_answer {
    int status = 0; ///< 0 if there was no answer; `error` then gives the reason in a sentence
    std::string body;
    std::string error;
    bool timed_out = false; ///< the request was sent, but no answer came in time
    bool canceled = false;
    bool lasting = false; ///< no answer, and a retry will not help: an invalid URL, an answer over its bound

    /// Returns whether there was no answer for a reason that may pass by itself.
    bool may_pass() const noexcept { return status == 0 && !canceled && !lasting; }
};

/// Sends requests: the client, or a test's stand-in for all servers.
class http_sender {
  public:
    virtual ~http_sender() = default;

    /// Sends one request. See `operation` for the callback's rules.
    virtual operation_ptr send(http_request request, std::function<void(http_answer)> done) = 0;
};

class http_client final : public http_sender {
  public:
    /// The loop must outlive the client.
    explicit http_client(uv_loop_t *loop);
    ~http_client() override;
    http_client(const http_client &) = delete;
    http_client &operator=(const http_client &) = delete;

    /// Speaks only http and https, follows no redirects, and uses no proxy from the environment.
    operation_ptr send(http_request request, std::function<void(http_answer)> done) override;

    /// Closes all handles; the loop must run once more afterwards so that libuv releases them. Requests under way are
    /// abandoned: their callbacks do not run any more, nor does that of a later `send`.
    void close();

    uv_loop_t *loop() const noexcept;

  private:
    class implementation;
    std::shared_ptr<implementation> implementation_;
};

} // namespace rollout
