#include "module/nginx/body_rewriter.hpp"

#include <algorithm>

namespace rollout {

/// Its first member is nginx's buffer.
struct body_rewriter::own_buffer {
    ngx_buf_t buffer;
    u_char *memory;
    std::size_t capacity;
    own_buffer *next;
};


/// The chain that is passed on.
class body_rewriter::output {
  public:
    output(ngx_http_request_t *r, ngx_chain_t *&chain) noexcept : r_(r), end_(&chain) { chain = nullptr; }

    ngx_http_request_t *request() const noexcept { return r_; }

    /// Returns null if out of memory.
    ngx_chain_t *append(ngx_buf_t *buffer) noexcept
    {
        ngx_chain_t *link = ngx_alloc_chain_link(r_->pool);
        if (link != nullptr) {
            *link = {buffer, nullptr};
            *end_ = link;
            end_ = &link->next;
            last_ = buffer;
        }
        return link;
    }

    /// Returns null if nothing is passed on.
    ngx_buf_t *last() const noexcept { return last_; }

  private:
    ngx_http_request_t *r_;
    ngx_chain_t **end_;
    ngx_buf_t *last_ = nullptr;
};


namespace {

bool is_in_file_alone(const ngx_buf_t *buffer) noexcept
{
    return buffer->in_file && !ngx_buf_in_memory(buffer);
}


/// A range of the rest of a buffer.
struct part {
    off_t from;
    off_t to;
};


/// `resent`: a body that is sent again is sent from the start of its buffers.
void narrow(ngx_buf_t *buffer, part to_part, bool resent) noexcept
{
    const auto [from, to] = to_part;
    if (ngx_buf_in_memory(buffer)) {
        buffer->last = buffer->pos + to;
        buffer->pos += from;
        buffer->start = resent ? buffer->pos : buffer->start;
    }
    if (buffer->in_file) {
        buffer->file_last = buffer->file_pos + to;
        buffer->file_pos += from;
    }
}


void copy_flags(ngx_buf_t *to, const ngx_buf_t *from) noexcept
{
    to->flush = from->flush;
    to->sync = from->sync;
    to->last_buf = from->last_buf;
    to->last_in_chain = from->last_in_chain;
}

} // namespace


body_rewriter::own_buffer *body_rewriter::take_buffer(ngx_pool_t *pool, std::size_t size) noexcept
{
    own_buffer *taken = nullptr;
    for (auto *candidate = options_.reuses ? own_ : nullptr; candidate != nullptr && taken == nullptr;
         candidate = candidate->next) {
        const ngx_buf_t *buffer = &candidate->buffer;
        taken = ngx_buf_size(buffer) == 0 ? candidate : nullptr;
    }
    if (taken == nullptr) {
        taken = static_cast<own_buffer *>(ngx_pcalloc(pool, sizeof(own_buffer)));
        if (taken == nullptr) {
            return nullptr;
        }
        taken->next = own_;
        own_ = taken;
    }
    if (taken->capacity < size) {
        taken->memory = static_cast<u_char *>(ngx_pnalloc(pool, size));
        taken->capacity = taken->memory != nullptr ? size : 0;
    }
    taken->buffer = {};
    return taken->capacity >= size ? taken : nullptr;
}


bool body_rewriter::write_held(output &to) noexcept
{
    holds_ = false;
    const auto held = reader_->held();
    if (held.empty()) {
        return true;
    }
    auto *own = take_buffer(to.request()->pool, held.size());
    if (own == nullptr) {
        return false;
    }
    own->buffer.temporary = 1;
    own->buffer.start = own->buffer.pos = own->memory;
    own->buffer.last = own->buffer.end = ngx_cpymem(own->memory, held.data(), held.size());
    written_ += static_cast<off_t>(held.size());
    return to.append(&own->buffer) != nullptr;
}


body_rewriter::result body_rewriter::take_name(output &to, verdict decided, std::string_view instead) noexcept
{
    if (decided == verdict::keep) {
        return write_held(to) ? result::done : result::failed;
    }
    auto *own = take_buffer(to.request()->pool, reader_->room() + instead.size());
    if (own == nullptr) {
        return result::failed;
    }
    const std::size_t size = reader_->write(instead, reinterpret_cast<char *>(own->memory));
    own->buffer.temporary = 1;
    own->buffer.start = own->buffer.pos = own->memory;
    own->buffer.last = own->buffer.end = own->memory + size;
    name_from_ = written_;
    written_ += static_cast<off_t>(size);
    name_to_ = written_;
    last_written_ = {reinterpret_cast<const char *>(own->memory), size};
    holds_ = false;
    is_over_ = decided == verdict::rename_last;
    return to.append(&own->buffer) != nullptr ? result::done : result::failed;
}


/// Returns the next bytes of a buffer for the reader; empty if a file cannot be read.
std::string_view body_rewriter::piece_of(const ngx_buf_t *buffer, off_t from, output &to) noexcept
{
    auto size = static_cast<std::size_t>(ngx_buf_size(buffer) - from);
    if (options_.most != 0) {
        size = std::min(size, options_.most - looked_at_);
    }
    if (!is_in_file_alone(buffer)) {
        return {reinterpret_cast<const char *>(buffer->pos) + from, size};
    }
    if (file_piece_ == nullptr) {
        file_piece_ = static_cast<u_char *>(ngx_pnalloc(to.request()->pool, file_piece_bytes));
    }
    size = std::min(size, file_piece_bytes);
    if (file_piece_ == nullptr ||
        ngx_read_file(buffer->file, file_piece_, size, buffer->file_pos + from) != static_cast<ssize_t>(size)) {
        return {};
    }
    return {reinterpret_cast<const char *>(file_piece_), size};
}


/// Appends a part of another buffer, and shares its memory and file.
ngx_chain_t *body_rewriter::append_part(const ngx_buf_t *buffer, off_t from, off_t until, output &to) noexcept
{
    auto *own = take_buffer(to.request()->pool, 0);
    if (own == nullptr) {
        return nullptr;
    }
    static constexpr ngx_buf_t no_flags{};
    own->buffer = *buffer;
    copy_flags(&own->buffer, &no_flags);
    own->buffer.recycled = 0;
    own->buffer.shadow = nullptr;
    own->buffer.last_shadow = 0;
    own->buffer.tag = nullptr;
    narrow(&own->buffer, {from, until}, options_.of_request);
    written_ += until - from;
    return to.append(&own->buffer);
}


/// Finishes a buffer of which nothing more is passed on: all its bytes are passed or held.
bool body_rewriter::end_buffer(ngx_buf_t *buffer, ngx_chain_t *last_part, off_t from, off_t until,
                               output &to) noexcept
{
    static constexpr ngx_buf_t no_flags{};
    ngx_buf_t flags{};
    copy_flags(&flags, buffer);
    copy_flags(buffer, &no_flags);
    // While a part of the original is unsent, the original must not be empty, or its memory would be reused.
    const ngx_buf_t *replaced = nullptr;
    if (last_part != nullptr) {
        replaced = last_part->buf;
        last_part->buf->pos = last_part->buf->last;
        last_part->buf->file_pos = last_part->buf->file_last;
        last_part->buf = buffer;
    }
    narrow(buffer, {from, until}, options_.of_request);
    const bool ends = flags.last_buf || flags.last_in_chain;
    if (ends && holds_ && !write_held(to)) {
        return false;
    }
    ngx_buf_t *carrier = last_part != nullptr && to.last() == replaced ? buffer : to.last();
    if (carrier == nullptr && ends) {
        auto *own = take_buffer(to.request()->pool, 0);
        if (own == nullptr || to.append(&own->buffer) == nullptr) {
            return false;
        }
        carrier = &own->buffer;
    }
    if (carrier != nullptr) {
        copy_flags(carrier, &flags);
    }
    return true;
}


/// Writes a name in place, without a buffer of its own, if it lies entirely in a buffer in memory and the replacement
/// has the same length. `at` is where it begins.
bool body_rewriter::write_in_place(const ngx_buf_t *buffer, off_t offset, std::size_t size, verdict decided,
                                   std::string_view instead) noexcept
{
    if (holds_ || size != reader_->held().size()) {
        return false;
    }
    const bool is_ours_to_write = buffer->temporary && !buffer->in_file;
    if (decided != verdict::keep && (!is_ours_to_write || !reader_->keeps_size(instead))) {
        return false;
    }
    if (decided != verdict::keep) {
        reader_->write(instead, reinterpret_cast<char *>(buffer->pos + offset));
    }
    is_over_ = is_over_ || decided == verdict::rename_last;
    return true;
}


body_rewriter::result body_rewriter::read_buffer(ngx_buf_t *buffer, output &to, rename_fn rename) noexcept
{
    const off_t size = ngx_buf_size(buffer);
    off_t offset = 0;
    off_t kept = 0; // the bytes before this have been passed on, or are held
    ngx_chain_t *last_part = nullptr;
    part last{size, size};

    while (offset < size && !is_over_) {
        auto piece = piece_of(buffer, offset, to);
        if (piece.empty()) {
            return result::failed;
        }
        looked_at_ += piece.size();
        while (!piece.empty() && !is_over_) {
            const auto step = reader_->read(piece);
            piece.remove_prefix(step.pass + step.hold);
            const off_t passed = offset + static_cast<off_t>(step.pass);
            offset = passed + static_cast<off_t>(step.hold);
            if (step.what == name_reader::found::refuse && options_.of_request) {
                return result::refused;
            }
            std::string_view instead;
            auto decided = verdict::keep;
            if (step.what == name_reader::found::name) {
                decided = rename(reader_->name(), instead);
                if (decided == verdict::stop) {
                    return result::refused;
                }
                if (write_in_place(buffer, passed, step.hold, decided, instead)) {
                    continue;
                }
            }
            if (step.hold != 0 || step.what == name_reader::found::name) {
                if (passed != kept) {
                    last = {kept, passed};
                    last_part = append_part(buffer, kept, passed, to);
                    if (last_part == nullptr) {
                        return result::failed;
                    }
                }
                kept = offset;
                holds_ = holds_ || step.hold != 0;
            }
            if (step.what == name_reader::found::name) {
                if (const auto taken = take_name(to, decided, instead); taken != result::done) {
                    return taken;
                }
            }
            is_over_ = is_over_ || step.what == name_reader::found::refuse;
        }
        is_over_ = is_over_ || (options_.most != 0 && looked_at_ >= options_.most);
        if (is_over_ && holds_ && !write_held(to)) {
            return result::failed;
        }
    }

    if (kept == size) {
        return end_buffer(buffer, last_part, last.from, last.to, to) ? result::done : result::failed;
    }
    narrow(buffer, {kept, size}, options_.of_request);
    written_ += size - kept;
    return to.append(buffer) != nullptr ? result::done : result::failed;
}


void free_links(ngx_pool_t *pool, ngx_chain_t *chain) noexcept
{
    while (chain != nullptr) {
        ngx_chain_t *link = chain;
        chain = chain->next;
        ngx_free_chain(pool, link);
    }
}


body_rewriter::result body_rewriter::rewrite(ngx_http_request_t *r, ngx_chain_t *in, ngx_chain_t *&out,
                                             rename_fn rename) noexcept
{
    output to(r, out);
    for (; in != nullptr; in = in->next) {
        ngx_buf_t *buffer = in->buf;
        const bool is_special = ngx_buf_special(buffer);
        if (!is_over_ && !is_special && ngx_buf_size(buffer) != 0) {
            if (const auto read = read_buffer(buffer, to, rename); read != result::done) {
                return read;
            }
            continue;
        }
        if ((buffer->last_buf || buffer->last_in_chain) && holds_ && !write_held(to)) {
            return result::failed;
        }
        written_ += is_special ? 0 : ngx_buf_size(buffer);
        if (to.append(buffer) == nullptr) {
            return result::failed;
        }
    }
    return result::done;
}

} // namespace rollout
