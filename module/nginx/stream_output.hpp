// An answer without an end, to which texts are added as they come. Many requests may send the same text: it is counted,
// and not copied.
//
// What a client does not accept yet stays with its request; the owner adds nothing more until it is gone, so that a
// request's memory does not grow. A client that accepts nothing for send_timeout is disconnected.
#pragma once

#include "module/nginx/ngx.hpp"

#include <memory>
#include <string>

namespace rollout {

using shared_text = std::shared_ptr<const std::string>;

/// In the request's pool.
class stream_output {
  public:
    using drained_fn = void (*)(void *owner);

    /// To be called once, before the headers are sent. `drained` runs when the client has accepted everything after a
    /// time when it did not; it may end the request. Returns false if out of memory.
    bool begin(ngx_http_request_t *r, void *owner, drained_fn drained) noexcept;

    /// To be called once the headers are sent and the request is held.
    void take_events() noexcept;

    /// Returns whether the client has accepted everything.
    bool is_idle() const noexcept;

    /// Adds a text for the next `send`. If out of memory, that fails.
    void add(shared_text text) noexcept;

    std::size_t added_bytes() const noexcept { return added_bytes_; }

    /// Sends what was added; `last` ends the answer. The result is for ngx_http_finalize_request if it is NGX_ERROR,
    /// or if this was the last. Does nothing if nothing was added.
    ngx_int_t send(bool last) noexcept;

  private:
    struct piece;

    static void on_writable(ngx_http_request_t *r) noexcept;
    static void release_all(void *data) noexcept;

    piece *take_piece() noexcept;
    void recycle() noexcept;
    void watch_client() noexcept;

    ngx_http_request_t *r_ = nullptr;
    void *owner_ = nullptr;
    drained_fn drained_ = nullptr;
    std::size_t added_bytes_ = 0;
    bool is_short_ = false;
    piece *added_first_ = nullptr;
    piece *added_last_ = nullptr;
    piece *sent_first_ = nullptr; ///< in the order of sending; the client has not accepted them as a whole
    piece *sent_last_ = nullptr;
    piece *free_ = nullptr;
};

} // namespace rollout
