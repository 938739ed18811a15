// Several requests to a server, with pauses and blocking work between them, as one operation.
#pragma once

#include "worker/async/compound_operation.hpp"
#include "worker/async/thread_work.hpp"
#include "worker/net/http_client.hpp"

#include <functional>
#include <utility>

namespace rollout {

/// What the requests to a server use. It must outlive every operation that has a copy.
struct server_access {
    http_sender &http;
    clock &time;
    thread_fn run_on_thread;
};

/// A cancel ends the current request or work, and takes effect even if it comes too late to stop that.
class request_sequence : public compound_operation {
  protected:
    request_sequence(server_access access, done_fn done)
        : compound_operation(access.time, std::move(done)), access_(std::move(access))
    {
    }

    void ask(http_request request, std::function<void(http_answer)> then)
    {
        start<http_answer>([&](auto answered) { return access_.http.send(std::move(request), std::move(answered)); },
                           [this, then = std::move(then)](http_answer answer) {
                               if (is_canceled() || answer.canceled) {
                                   finish(outcome::canceled());
                               } else {
                                   then(std::move(answer));
                               }
                           });
    }

    void on_thread(blocking_fn work, std::function<void(outcome)> then)
    {
        start<outcome>([&](done_fn ended) { return access_.run_on_thread(std::move(work), std::move(ended)); },
                       [this, then = std::move(then)](outcome result) {
                           if (is_canceled()) {
                               finish(outcome::canceled());
                           } else {
                               then(std::move(result));
                           }
                       });
    }

  private:
    server_access access_;
};

} // namespace rollout
