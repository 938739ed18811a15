#include "module/nginx/body_pieces.hpp"

#include <algorithm>

namespace rollout {

void body_pieces::append(ngx_pool_t *pool, std::string_view text) noexcept
{
    while (!text.empty() && !is_short_) {
        if (last_ == nullptr || last_->buf->last == last_->buf->end) {
            // A short body takes no more memory than it needs.
            const std::size_t room =
                first_ == nullptr ? std::clamp<std::size_t>(text.size(), 4096, piece_bytes) : piece_bytes;
            ngx_buf_t *buffer = ngx_create_temp_buf(pool, room);
            ngx_chain_t *link = ngx_alloc_chain_link(pool);
            if (buffer == nullptr || link == nullptr) {
                is_short_ = true;
                return;
            }
            *link = {buffer, nullptr};
            (last_ != nullptr ? last_->next : first_) = link;
            last_ = link;
        }
        ngx_buf_t *to = last_->buf;
        const auto part = text.substr(0, static_cast<std::size_t>(to->end - to->last));
        to->last += part.copy(reinterpret_cast<char *>(to->last), part.size());
        size_ += part.size();
        text.remove_prefix(part.size());
    }
}


void body_pieces::append(body_pieces &other) noexcept
{
    if (other.first_ != nullptr) {
        (last_ != nullptr ? last_->next : first_) = other.first_;
        last_ = other.last_;
    }
    size_ += other.size_;
    is_short_ = is_short_ || other.is_short_;
    other = {};
}


ngx_chain_t *body_pieces::take() noexcept
{
    ngx_chain_t *link = first_;
    if (link != nullptr) {
        first_ = link->next;
        link->next = nullptr;
        if (first_ == nullptr) {
            last_ = nullptr;
        }
    }
    return link;
}

} // namespace rollout
