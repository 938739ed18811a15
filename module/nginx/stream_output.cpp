#include "module/nginx/stream_output.hpp"

#include <utility>

namespace rollout {

/// A text on its way to one client. Pieces are used again, so a request has as many as it ever sent at a time.
struct stream_output::piece {
    ngx_buf_t buffer;
    ngx_chain_t link;
    piece *next;
    shared_text text;
};


bool stream_output::begin(ngx_http_request_t *r, void *owner, drained_fn drained) noexcept
{
    // Runs when the pool is destroyed, not when the request ends: until then, HTTP/2 may still send parts of a text.
    ngx_pool_cleanup_t *cleanup = ngx_pool_cleanup_add(r->pool, 0);
    if (cleanup == nullptr) {
        return false;
    }
    cleanup->handler = release_all;
    cleanup->data = this;
    r_ = r;
    owner_ = owner;
    drained_ = drained;
    return true;
}


void stream_output::take_events() noexcept
{
    r_->write_event_handler = on_writable;
    ngx_connection_t *c = r_->connection;
    const auto *core =
        static_cast<ngx_http_core_loc_conf_t *>(ngx_http_get_module_loc_conf(r_, ngx_http_core_module));
    if (core->tcp_nodelay) {
        ngx_tcp_nodelay(c); // events are small, and each is to arrive at once
    }
    watch_client();
}


void stream_output::release_all(void *data) noexcept
{
    auto &output = *static_cast<stream_output *>(data);
    for (auto *list : {output.added_first_, output.sent_first_}) {
        for (; list != nullptr; list = list->next) {
            list->text.reset();
        }
    }
    output.added_first_ = output.sent_first_ = nullptr;
}


bool stream_output::is_idle() const noexcept
{
    return r_->buffered == 0 && r_->postponed == nullptr && r_->connection->buffered == 0;
}


stream_output::piece *stream_output::take_piece() noexcept
{
    if (free_ != nullptr) {
        return std::exchange(free_, free_->next);
    }
    void *memory = ngx_pcalloc(r_->pool, sizeof(piece));
    return memory != nullptr ? new (memory) piece{} : nullptr;
}


void stream_output::add(shared_text text) noexcept
{
    piece *added = text != nullptr ? take_piece() : nullptr;
    if (added == nullptr) {
        is_short_ = true;
        return;
    }
    ngx_buf_t &buffer = added->buffer;
    buffer = {};
    buffer.pos = buffer.start = reinterpret_cast<u_char *>(const_cast<char *>(text->data()));
    buffer.last = buffer.end = buffer.pos + text->size();
    buffer.memory = 1;
    added_bytes_ += text->size();
    added->text = std::move(text);
    added->link = {&buffer, nullptr};
    added->next = nullptr;
    if (added_last_ != nullptr) {
        added_last_->next = added;
        added_last_->link.next = &added->link;
    } else {
        added_first_ = added;
    }
    added_last_ = added;
}


ngx_int_t stream_output::send(bool last) noexcept
{
    if (is_short_) {
        return NGX_ERROR;
    }
    if (last && added_last_ == nullptr) {
        piece *end = take_piece();
        if (end == nullptr) {
            return NGX_ERROR;
        }
        end->buffer = {};
        end->link = {&end->buffer, nullptr};
        end->next = nullptr;
        added_first_ = added_last_ = end;
    }
    if (added_last_ == nullptr) {
        return NGX_OK;
    }
    added_last_->buffer.flush = 1;
    added_last_->buffer.last_buf = last;
    added_last_->buffer.last_in_chain = last;
    ngx_chain_t *chain = &added_first_->link;
    (sent_last_ != nullptr ? sent_last_->next : sent_first_) = added_first_;
    sent_last_ = added_last_;
    added_first_ = added_last_ = nullptr;
    added_bytes_ = 0;

    const ngx_int_t rc = ngx_http_output_filter(r_, chain);
    recycle();
    if (rc != NGX_ERROR && !last && r_->write_event_handler == on_writable) {
        watch_client();
    }
    return rc;
}


void stream_output::recycle() noexcept
{
    const auto is_sent = [](const ngx_buf_t *buffer) { return ngx_buf_size(buffer) == 0; };
    while (sent_first_ != nullptr && is_sent(&sent_first_->buffer)) {
        piece *done = std::exchange(sent_first_, sent_first_->next);
        done->text.reset();
        done->next = free_;
        free_ = done;
    }
    if (sent_first_ == nullptr) {
        sent_last_ = nullptr;
    }
}


/// Waits for a client that does not accept everything, as ngx_http_writer does.
void stream_output::watch_client() noexcept
{
    ngx_event_t *event = r_->connection->write;
    const auto *core =
        static_cast<ngx_http_core_loc_conf_t *>(ngx_http_get_module_loc_conf(r_, ngx_http_core_module));
    if (is_idle()) {
        if (event->timer_set && !event->delayed) {
            ngx_del_timer(event);
        }
        return;
    }
    if (!event->delayed) {
        ngx_add_timer(event, core->send_timeout);
    }
    if (ngx_handle_write_event(event, core->send_lowat) != NGX_OK) {
        r_->connection->error = 1;
    }
}


void stream_output::on_writable(ngx_http_request_t *r) noexcept
{
    auto &output = *find_in_pool<stream_output>(r->pool, release_all);
    ngx_connection_t *c = r->connection;
    if (c->write->timedout) {
        ngx_log_error(NGX_LOG_INFO, c->log, NGX_ETIMEDOUT, "client timed out");
        c->timedout = 1;
        ngx_http_finalize_request(r, NGX_HTTP_REQUEST_TIME_OUT);
        return;
    }
    if (c->write->delayed) {
        output.watch_client();
        return;
    }
    if (output.is_idle()) {
        return;
    }
    const ngx_int_t rc = ngx_http_output_filter(r, nullptr);
    output.recycle();
    if (rc == NGX_ERROR) {
        ngx_http_finalize_request(r, NGX_ERROR);
        return;
    }
    output.watch_client();
    if (output.is_idle()) {
        output.drained_(output.owner_);
    }
}

} // namespace rollout
