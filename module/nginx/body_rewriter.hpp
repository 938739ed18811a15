// Rewrites a body that passes through a filter, of a request or an answer: a reader finds names, and others are
// written in their place. Buffers are passed on by reference; bytes that the reader has held back are written into
// the rewriter's own buffers.
#pragma once

#include "common/base/function_ref.hpp"
#include "module/messages/name_reader.hpp"
#include "module/nginx/ngx.hpp"

#include <cstdint>

namespace rollout {

/// In the request's pool.
class body_rewriter {
  public:
    /// The decision about a name that was found.
    enum class verdict : std::uint8_t {
        keep,        ///< pass it on unchanged
        rename,      ///< write the given name instead
        rename_last, ///< the same, and search no further
        stop,        ///< pass on nothing more of the body
    };
    using rename_fn = function_ref<verdict(std::string_view found, std::string_view &instead)>;

    enum class result : std::uint8_t {
        done,
        refused, ///< by the reader, or stopped: the rest is dropped
        failed,  ///< out of memory, or a file cannot be read
    };

    /// `of_request`: a body that the reader refuses is refused, and what is passed on may be sent a second time;
    /// without it, an answer that the reader refuses is passed on unchanged. `reuses`: buffers are used again once
    /// they have been sent, for a body without an end. `most`: the number of bytes to search; 0: all.
    struct settings {
        bool of_request = false;
        bool reuses = false;
        std::size_t most = 0;
    };

    body_rewriter(name_reader *reader, settings options) noexcept : reader_(reader), options_(options) {}

    /// Builds `out` from `in`, whose buffers it may shorten at their beginning. An original buffer always comes last
    /// among its parts.
    result rewrite(ngx_http_request_t *r, ngx_chain_t *in, ngx_chain_t *&out, rename_fn rename) noexcept;

    /// Returns whether the rest of the body is passed on unchanged.
    bool is_over() const noexcept { return is_over_; }

    /// Returns how many bytes have been passed on.
    off_t written() const noexcept { return written_; }

    /// Return where, in these bytes, the last replacement begins and ends.
    off_t name_from() const noexcept { return name_from_; }
    off_t name_to() const noexcept { return name_to_; }

    /// Returns that replacement.
    std::string_view last_written() const noexcept { return last_written_; }

  private:
    struct own_buffer;
    class output;

    result read_buffer(ngx_buf_t *buffer, output &to, rename_fn rename) noexcept;
    result take_name(output &to, verdict decided, std::string_view instead) noexcept;
    bool write_in_place(const ngx_buf_t *buffer, off_t offset, std::size_t size, verdict decided,
                        std::string_view instead) noexcept;
    bool write_held(output &to) noexcept;
    ngx_chain_t *append_part(const ngx_buf_t *buffer, off_t from, off_t until, output &to) noexcept;
    bool end_buffer(ngx_buf_t *buffer, ngx_chain_t *last_part, off_t from, off_t until, output &to) noexcept;
    std::string_view piece_of(const ngx_buf_t *buffer, off_t from, output &to) noexcept;
    own_buffer *take_buffer(ngx_pool_t *pool, std::size_t size) noexcept;

    static constexpr std::size_t file_piece_bytes = 16 * 1024;

    name_reader *reader_;
    settings options_;
    bool is_over_ = false;
    bool holds_ = false;
    std::size_t looked_at_ = 0;
    off_t written_ = 0;
    off_t name_from_ = 0;
    off_t name_to_ = 0;
    std::string_view last_written_;
    own_buffer *own_ = nullptr; ///< the list of all
    u_char *file_piece_ = nullptr;
};

/// Returns a chain's links to the pool after the next filter has run: filters keep buffers, but use links of their
/// own.
void free_links(ngx_pool_t *pool, ngx_chain_t *chain) noexcept;

} // namespace rollout
