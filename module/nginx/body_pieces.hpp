// The body of an answer, which grows piece by piece, in buffers of the request's pool.
#pragma once

#include "module/nginx/ngx.hpp"

#include <cstddef>
#include <string_view>

namespace rollout {

class body_pieces {
  public:
    /// The bytes that are sent to the client in one turn of the event loop.
    static constexpr std::size_t piece_bytes = 64 * 1024;

    /// Appends a copy. If out of memory, the body is incomplete, and stays so.
    void append(ngx_pool_t *pool, std::string_view text) noexcept;

    /// Appends another body, which is empty afterwards.
    void append(body_pieces &other) noexcept;

    bool whole() const noexcept { return !is_short_; }
    std::size_t size() const noexcept { return size_; }

    /// Removes and returns the first piece; null if there is none left.
    ngx_chain_t *take() noexcept;

    bool empty() const noexcept { return first_ == nullptr; }

  private:
    ngx_chain_t *first_ = nullptr;
    ngx_chain_t *last_ = nullptr;
    std::size_t size_ = 0; ///< of everything appended
    bool is_short_ = false;
};

} // namespace rollout
