// The commands of a driver: standard input, a JSON object a line.
#pragma once

#include "common/base/json.hpp"

#include <uv.h>

#include <functional>
#include <stdexcept>
#include <string>
#include <utility>

/// Used on the loop's thread. `command` is called for each line; `ended` once, when the input has ended or was closed.
class command_input {
  public:
    command_input(std::function<void(const json_t *)> command, std::function<void()> ended)
        : command_(std::move(command)), ended_(std::move(ended))
    {
    }
    command_input(const command_input &) = delete;
    command_input &operator=(const command_input &) = delete;

    void start(uv_loop_t *loop)
    {
        uv_pipe_init(loop, &pipe_, 0);
        uv_pipe_open(&pipe_, 0);
        pipe_.data = this;
        uv_read_start(
            reinterpret_cast<uv_stream_t *>(&pipe_),
            [](uv_handle_t *handle, std::size_t, uv_buf_t *buffer) {
                auto &of = *static_cast<command_input *>(handle->data);
                *buffer = uv_buf_init(of.room_, sizeof(of.room_));
            },
            [](uv_stream_t *stream, ssize_t size, const uv_buf_t *) {
                static_cast<command_input *>(stream->data)->on_read(size);
            });
    }

    void close()
    {
        if (uv_is_closing(reinterpret_cast<uv_handle_t *>(&pipe_)) == 0) {
            uv_close(reinterpret_cast<uv_handle_t *>(&pipe_), nullptr);
            ended_();
        }
    }

  private:
    void on_read(ssize_t size)
    {
        if (size < 0) {
            close();
            return;
        }
        text_.append(room_, static_cast<std::size_t>(size));
        for (std::size_t end = text_.find('\n'); end != std::string::npos; end = text_.find('\n')) {
            json_error_t error;
            const rollout::json_ptr line(json_loadb(text_.data(), end, JSON_ALLOW_NUL, &error));
            text_.erase(0, end + 1);
            if (!line) {
                throw std::runtime_error("a command is no JSON");
            }
            command_(line.get());
        }
    }

    std::function<void(const json_t *)> command_;
    std::function<void()> ended_;
    uv_pipe_t pipe_{};
    std::string text_;
    char room_[65536];
};
