#include "worker/gateway/session.hpp"

#include "worker/base/failpoint.hpp"

namespace rollout {

/// Keeps the session, and the bytes, until libuv is done with them.
struct gateway_server::session::write_request {
    uv_write_t request{};
    session_ptr owner;
    std::string bytes;
    written_fn then;
};


void gateway_server::session::start(read_fn on_read, end_fn on_end)
{
    on_read_ = std::move(on_read);
    on_end_ = std::move(on_end);
    pipe->data = this;
    uv_read_start(
        reinterpret_cast<uv_stream_t *>(pipe),
        [](uv_handle_t *handle, std::size_t, uv_buf_t *to) {
            auto *self = static_cast<session *>(handle->data);
            *to = uv_buf_init(self->buffer_.data(), static_cast<unsigned>(self->buffer_.size()));
        },
        [](uv_stream_t *stream, ssize_t n, const uv_buf_t *from) {
            const auto self = static_cast<session *>(stream->data)->shared_from_this();
            if (n > 0) {
                self->on_read_(self, {from->base, static_cast<std::size_t>(n)});
            } else if (n < 0) {
                self->on_end_(self, n == UV_EOF ? "" : uv_strerror(static_cast<int>(n)));
            }
        });
}


void gateway_server::session::flush(const written_fn &then)
{
    if (closed() || writing || out.empty()) {
        return;
    }
    auto *write = new write_request{{}, shared_from_this(), std::move(out), then};
    out.clear();
    writing = true;
    write->request.data = write;
    uv_buf_t bytes = uv_buf_init(write->bytes.data(), static_cast<unsigned>(write->bytes.size()));
    if (uv_write(&write->request, reinterpret_cast<uv_stream_t *>(pipe), &bytes, 1, on_written) != 0) {
        writing = false;
        delete write; // the read side will tell that the link is broken
    }
}


void gateway_server::session::write_now()
{
    if (!closed() && !out.empty()) {
        const uv_buf_t bytes = uv_buf_init(out.data(), static_cast<unsigned>(out.size()));
        uv_try_write(reinterpret_cast<uv_stream_t *>(pipe), &bytes, 1); // who does not read does not hear why
        out.clear();
    }
}


void gateway_server::session::on_written(uv_write_t *request, int status)
{
    const std::unique_ptr<write_request> write(static_cast<write_request *>(request->data));
    const auto self = write->owner;
    self->writing = false;
    if (status == 0 && !self->closed()) {
        write->then(self);
        self->flush(write->then);
    }
}


void gateway_server::session::break_off() const noexcept
{
    uv_os_fd_t socket = -1;
    if (!closed() && uv_fileno(reinterpret_cast<const uv_handle_t *>(pipe), &socket) == 0) {
        break_connection(socket);
    }
}


std::size_t gateway_server::session::unsent() const noexcept
{
    return answers.size() + out.size() +
           (closed() ? 0 : uv_stream_get_write_queue_size(reinterpret_cast<const uv_stream_t *>(pipe)));
}


void gateway_server::session::close()
{
    if (uv_pipe_t *closing = std::exchange(pipe, nullptr)) {
        uv_close(reinterpret_cast<uv_handle_t *>(closing),
                 [](uv_handle_t *handle) { delete reinterpret_cast<uv_pipe_t *>(handle); });
    }
}

} // namespace rollout
