#include "worker/gateway/session.hpp"

#include "common/domain/limits.hpp"
#include "worker/base/failpoint.hpp"
#include "worker/base/format.hpp"
#include "worker/base/log.hpp"

#include <algorithm>
#include <initializer_list>
#include <utility>

namespace rollout {

namespace {

/// What nginx reads of it, too: module/link/worker_link.cpp.
constexpr std::size_t longest_reason = 1000;

/// Returns the type of a frame that rolloutd has written, from its beginning.
std::string_view type_of(std::string_view text)
{
    constexpr std::string_view before = "{\"type\":\"";
    text.remove_prefix(before.size());
    return text.substr(0, text.find('"'));
}

} // namespace


/// Keeps the session and the bytes until libuv has finished with them.
struct session::write_request {
    uv_write_t request{};
    session_ptr owner;
    std::string bytes;
};


session::session(uv_loop_t *loop, session_events events) : events_(std::move(events)), heard_at_(uv_now(loop))
{
    uv_pipe_init(loop, pipe_, 0);
    pipe_->data = this;
}


session::~session()
{
    close();
}


bool session::accept(uv_stream_t *waiting) noexcept
{
    return uv_accept(waiting, reinterpret_cast<uv_stream_t *>(pipe_)) == 0;
}


bool session::open(int descriptor) noexcept
{
    return uv_pipe_open(pipe_, descriptor) == 0;
}


void session::start()
{
    uv_read_start(
        reinterpret_cast<uv_stream_t *>(pipe_),
        [](uv_handle_t *handle, std::size_t, uv_buf_t *to) {
            auto *self = static_cast<session *>(handle->data);
            *to = uv_buf_init(self->buffer_.data(), static_cast<unsigned>(self->buffer_.size()));
        },
        [](uv_stream_t *stream, ssize_t n, const uv_buf_t *from) {
            const auto self = static_cast<session *>(stream->data)->shared_from_this();
            if (n > 0) {
                self->read({from->base, static_cast<std::size_t>(n)});
            } else if (n < 0) {
                self->end(n == UV_EOF ? "" : uv_strerror(static_cast<int>(n)));
            }
        });
}


int session::descriptor() const noexcept
{
    uv_os_fd_t socket = -1;
    return !closed() && uv_fileno(reinterpret_cast<const uv_handle_t *>(pipe_), &socket) == 0 ? socket : -1;
}


// Receiving.

void session::read(std::string_view bytes)
{
    heard_at_ = uv_now(pipe_->loop);
    reader_.feed(bytes);
    json_ptr message;
    std::string reason;
    while (!closed()) {
        switch (reader_.next(message, reason)) {
        case frame_reader::state::need_more:
            return;
        case frame_reader::state::broken:
            end(reason);
            return;
        case frame_reader::state::message:
            receive(message.get());
        }
    }
}


void session::receive(const json_t *message)
{
    const auto type = json_text(message, "type");
    if (failpoint({"frame", "received", type, "before"}, {fault::lost}) != fault::none) {
        end("");
        return;
    }
    events_.on_message(shared_from_this(), message, type);
    if (failpoint({"frame", "received", type, "after"}, {fault::lost}) != fault::none) {
        end("");
    }
}


bool session::begin_question()
{
    if (questions_ >= limits::requests_in_flight) {
        end("more than " + std::to_string(limits::requests_in_flight) + " questions without waiting for an answer");
        return false;
    }
    ++questions_;
    return true;
}


// Sending.

void session::send(std::string_view text)
{
    send_answers(); // what was answered before it goes out before it
    send_frame(text);
}


void session::send(const json_ptr &message)
{
    send(json_compact(message.get()));
}


void session::answer(std::uint64_t id, std::string_view word, const task_line &task)
{
    if (answers_.empty()) {
        answers_ += message_text(rolloutd_frame::accepted);
    }
    answers_.append(1, '\n').append(std::to_string(id)).append(1, ' ').append(word).append(1, ' ');
    append_task_line(answers_, task);
    if (answers_.size() > limits::batch_bytes) {
        send_answers();
    }
}


void session::send_answers()
{
    if (!answers_.empty()) {
        send_frame(answers_);
        answers_.clear(); // and keeps its memory for the next ones
    }
}


void session::send_frame(std::string_view text)
{
    // One turn of the loop may have an answer for each of thousands of waiting clients: beyond the bound nothing more
    // is gathered, and the turn ends the link.
    if (closed() || unsent() > most_unsent_bytes) {
        return;
    }
    if (failpoint({"frame", "sent", type_of(text), "before"}, {fault::lost}) != fault::none) {
        break_off();
        return;
    }
    if (!append_frame(out_, text)) {
        log(log_level::error,
            "A frame of " + std::to_string(text.size()) + " bytes is over the bound and was not sent");
    }
    const std::initializer_list<std::string_view> sent = {"frame", "sent", type_of(text), "after"};
    if (failpoint_is_due(sent)) {
        flush();
    }
    if (failpoint(sent, {fault::lost}) != fault::none) {
        break_off();
    }
}


void session::flush()
{
    if (unsent() > most_unsent_bytes) {
        end("it does not read what is sent to it");
        return;
    }
    write();
}


void session::write()
{
    const auto self = shared_from_this(); // the owner may release it
    while (!closed() && !writing_ && !out_.empty()) {
        if (!write_at_once()) {
            write_later();
            return;
        }
        events_.on_written(self);
    }
}


/// Writes as much as the socket takes, which mostly is all: a request to libuv costs another turn of its loop. Returns
/// whether it was all.
bool session::write_at_once()
{
    const uv_buf_t bytes = uv_buf_init(out_.data(), static_cast<unsigned>(out_.size()));
    const int taken = uv_try_write(reinterpret_cast<uv_stream_t *>(pipe_), &bytes, 1);
    out_.erase(0, static_cast<std::size_t>(std::max(taken, 0)));
    return out_.empty();
}


void session::write_later()
{
    auto *write = new write_request{{}, shared_from_this(), std::move(out_)};
    out_.clear();
    writing_ = true;
    write->request.data = write;
    uv_buf_t bytes = uv_buf_init(write->bytes.data(), static_cast<unsigned>(write->bytes.size()));
    if (uv_write(&write->request, reinterpret_cast<uv_stream_t *>(pipe_), &bytes, 1, on_written) != 0) {
        writing_ = false;
        delete write; // the read side will report that the link is broken
    }
}


void session::on_written(uv_write_t *request, int status)
{
    const std::unique_ptr<write_request> write(static_cast<write_request *>(request->data));
    const auto self = write->owner;
    self->writing_ = false;
    if (status == 0 && !self->closed()) {
        self->events_.on_written(self);
        self->write();
    }
}


std::size_t session::unsent() const noexcept
{
    return answers_.size() + out_.size() +
           (closed() ? 0 : uv_stream_get_write_queue_size(reinterpret_cast<const uv_stream_t *>(pipe_)));
}


// Ending.

void session::end(const std::string &reason)
{
    if (closed()) {
        return;
    }
    if (!reason.empty()) {
        log(log_level::warning, "The link of a gateway ended: " + reason,
            {{"gateway", peer.gateway}, {"pid", std::to_string(peer.pid)}});
    }
    turn_away(reason);
}


void session::turn_away(const std::string &reason)
{
    if (closed()) {
        return;
    }
    if (!reason.empty()) {
        refuse(reason);
    }
    close();
    const auto self = shared_from_this(); // the owner may release it
    events_.on_end(self);
}


/// Writes the reason, and what was gathered before it: as much as the socket takes at once, even if the end of an
/// earlier write has not been reported yet.
void session::refuse(const std::string &reason)
{
    json_ptr message = message_of(rolloutd_frame::refuse);
    json_put(message.get(), "reason", clean_text(reason, longest_reason));
    send(message);
    if (!closed() && !out_.empty()) {
        const uv_buf_t bytes = uv_buf_init(out_.data(), static_cast<unsigned>(out_.size()));
        uv_try_write(reinterpret_cast<uv_stream_t *>(pipe_), &bytes, 1); // a peer that does not read gets no reason
        out_.clear();
    }
}


/// Breaks the connection as a network would: later frames are lost, and the read side reports the end.
void session::break_off() const noexcept
{
    if (const int socket = descriptor(); socket >= 0) {
        break_connection(socket);
    }
}


void session::close() noexcept
{
    if (uv_pipe_t *closing = std::exchange(pipe_, nullptr)) {
        uv_close(reinterpret_cast<uv_handle_t *>(closing),
                 [](uv_handle_t *handle) { delete reinterpret_cast<uv_pipe_t *>(handle); });
    }
}

} // namespace rollout
