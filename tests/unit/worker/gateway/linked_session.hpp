// A session over a pair of sockets, and nginx's end of it, which a test reads and writes at once: no frame waits for time.
#pragma once

#include "common/link/frame.hpp"
#include "tests/unit/cmocka.hpp"
#include "tests/unit/test_loop.hpp"
#include "worker/gateway/session.hpp"

#include <array>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include <sys/socket.h>
#include <unistd.h>

/// What a session tells goes nowhere but for what the test puts into `events`.
class linked_session {
  public:
    explicit linked_session(test_loop &loop, rollout::session_events events = {}) : loop_(loop)
    {
        std::array<int, 2> pair{};
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair.data()), 0);
        nginx_ = pair[1];
        if (!events.on_message) {
            events.on_message = [](const rollout::session_ptr &, const json_t *, std::string_view) {};
        }
        if (!events.on_written) {
            events.on_written = [](const rollout::session_ptr &) {};
        }
        if (!events.on_end) {
            events.on_end = [](const rollout::session_ptr &) {};
        }
        link = std::make_shared<rollout::session>(loop.get(), std::move(events));
        assert_true(link->open(pair[0]));
        link->start();
    }
    ~linked_session()
    {
        hang_up();
        if (link) {
            link->close();
        }
    }
    linked_session(const linked_session &) = delete;
    linked_session &operator=(const linked_session &) = delete;

    /// nginx sends these bytes, and the session has read them when this returns.
    void say_bytes(std::string_view bytes)
    {
        assert_int_equal(send(nginx_, bytes.data(), bytes.size(), MSG_NOSIGNAL), bytes.size());
        turn();
    }

    static std::string frame_of(std::string_view text)
    {
        std::string frame;
        assert_true(rollout::append_frame(frame, text));
        return frame;
    }

    void say(std::string_view text) { say_bytes(frame_of(text)); }

    /// nginx is gone, and the session has noticed when the loop has turned.
    void hang_up()
    {
        if (nginx_ >= 0) {
            ::close(std::exchange(nginx_, -1));
        }
    }

    void turn() { uv_run(loop_.get(), UV_RUN_NOWAIT); }

    /// The next frame that nginx has, its lines behind it; empty if there is none.
    std::string next_frame()
    {
        std::array<char, 65536> bytes{};
        for (ssize_t n = 0; nginx_ >= 0 && (n = recv(nginx_, bytes.data(), bytes.size(), 0)) > 0;) {
            reader_.feed({bytes.data(), static_cast<std::size_t>(n)});
        }
        rollout::json_ptr message;
        std::string reason;
        if (reader_.next(message, reason) != rollout::frame_reader::state::message) {
            return reason;
        }
        const std::string text = rollout::json_compact(message.get());
        return reader_.lines().empty() ? text : text + '\n' + std::string(reader_.lines());
    }

    /// What the session sends now: a frame a line, each with its lines behind it.
    std::string heard()
    {
        turn(); // hears that the last write is over
        if (link) {
            link->send_answers();
            link->flush();
        }
        std::string all;
        for (auto frame = next_frame(); !frame.empty(); frame = next_frame()) {
            all += frame + '\n';
        }
        return all;
    }

    rollout::session_ptr link;

  private:
    test_loop &loop_;
    int nginx_ = -1;
    rollout::frame_reader reader_;
};
