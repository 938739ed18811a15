// A body on its way through a filter, a request's or an answer's, in which a reader finds names and others take their place. Buffers
// are passed on by reference; what the reader has held back is written into buffers of the rewriter's own.
#pragma once

#include "common/base/function_ref.hpp"
#include "module/messages/name_reader.hpp"
#include "module/nginx/ngx.hpp"

#include <cstdint>

namespace rollout {

/// In the request's pool.
class body_rewriter {
  public:
    /// What becomes of a name that was found.
    enum class verdict : std::uint8_t {
        keep,        ///< it goes on as it came
        rename,      ///< by the name that was given instead
        rename_last, ///< the same, and nothing more is looked for
        stop,        ///< the body goes nowhere
    };
    using rename_fn = function_ref<verdict(std::string_view found, std::string_view &instead)>;

    enum class result : std::uint8_t {
        done,
        refused, ///< by the reader, or stopped: nothing of the rest is for anybody
        failed,  ///< memory is out, or a file cannot be read
    };

    /// `of_request`: what the reader refuses is refused, and what goes on may be sent a second time; what it refuses of an answer goes on
    /// as it came. `reuses`: buffers that have been sent are used again, in a body without an end. `most`: bytes that are looked at; 0: all.
    struct settings {
        bool of_request = false;
        bool reuses = false;
        std::size_t most = 0;
    };

    body_rewriter(name_reader *reader, settings how) noexcept : reader_(reader), how_(how) {}

    /// Makes `out` of `in`, whose buffers it may shorten at their beginning; an original is always the last of what is made of it.
    result rewrite(ngx_http_request_t *r, ngx_chain_t *in, ngx_chain_t *&out, rename_fn rename) noexcept;

    /// Whether all goes on as it comes from here on.
    bool is_over() const noexcept { return is_over_; }

    /// The bytes that have been passed on.
    off_t written() const noexcept { return written_; }

    /// Of these, where what took the place of the last name begins and ends.
    off_t name_from() const noexcept { return name_from_; }
    off_t name_to() const noexcept { return name_to_; }

    /// And what that is.
    std::string_view last_written() const noexcept { return last_written_; }

  private:
    struct own_buffer;
    class output;

    result read_buffer(ngx_buf_t *buffer, output &to, rename_fn rename) noexcept;
    result take_name(output &to, verdict decided, std::string_view instead) noexcept;
    bool write_in_place(const ngx_buf_t *buffer, off_t at, std::size_t size, verdict decided,
                        std::string_view instead) noexcept;
    bool write_held(output &to) noexcept;
    ngx_chain_t *append_part(const ngx_buf_t *buffer, off_t from, off_t until, output &to) noexcept;
    bool end_buffer(ngx_buf_t *buffer, ngx_chain_t *last_part, off_t from, off_t until, output &to) noexcept;
    std::string_view piece_of(const ngx_buf_t *buffer, off_t from, output &to) noexcept;
    own_buffer *take_buffer(ngx_pool_t *pool, std::size_t size) noexcept;

    static constexpr std::size_t file_piece_bytes = 16 * 1024;

    name_reader *reader_;
    settings how_;
    bool is_over_ = false;
    bool holds_ = false;
    std::size_t looked_at_ = 0;
    off_t written_ = 0;
    off_t name_from_ = 0;
    off_t name_to_ = 0;
    std::string_view last_written_;
    own_buffer *own_ = nullptr; ///< all of them
    u_char *file_piece_ = nullptr;
};

/// Gives a chain's links back to the pool, once the next filter has had it: filters keep buffers, and links of their own.
void free_links(ngx_pool_t *pool, ngx_chain_t *chain) noexcept;

} // namespace rollout
