// An inference server as a test scripts it, a client on the same loop, and a clock that goes as fast as the pauses end.
#pragma once

#include "tests/unit/fakes/fake_clock.hpp"
#include "tests/unit/fakes/http_server.hpp"
#include "tests/unit/test_loop.hpp"
#include "worker/backend/triton/request_sequence.hpp"
#include "worker/net/http_client.hpp"

#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

struct asked_server {
    static constexpr const char *index = "POST /v2/repository/index";

    asked_server()
    {
        server.on_request = [this](const http_server::request &request) {
            auto &replies = script_[request.method + " " + request.path];
            if (replies.empty()) {
                return http_server::answer(404, R"({"error":"nothing is here"})");
            }
            const auto reply = replies.front();
            if (replies.size() > 1) {
                replies.pop_front();
            }
            return reply;
        };
    }

    /// The next answer to that (`GET /v2/models/m/ready`); the last one is given over and over.
    asked_server &says(const std::string &asked, int status, const std::string &body)
    {
        script_[asked].push_back(http_server::answer(status, body));
        return *this;
    }

    /// The next answer of the index: `m` is in that state.
    asked_server &has(const std::string &state, const std::string &reason = "")
    {
        return says(index, 200,
                    R"([{"name":"m","version":"1","state":")" + state + R"(","reason":")" + reason + "\"}]");
    }

    /// The connection is cut off instead of an answer to that.
    asked_server &cuts_off(const std::string &asked)
    {
        script_[asked].push_back(http_server::cut_off());
        return *this;
    }

    /// No answer to that, ever.
    void hangs(const std::string &asked) { script_[asked].push_back(http_server::no_answer()); }

    /// What an operation ends with. Time passes when nothing is asked.
    rollout::outcome run(const std::function<rollout::operation_ptr(rollout::done_fn)> &start)
    {
        std::optional<rollout::outcome> ended;
        const auto operation = start([&](rollout::outcome how) { ended = std::move(how); });
        run_until([&] { return ended.has_value(); });
        return std::move(*ended);
    }

    template <typename Condition>
    void run_until(const Condition &condition)
    {
        while (!condition()) {
            if (!time.next() && uv_run(loop.get(), UV_RUN_ONCE) == 0 && !time.waits() && !condition()) {
                throw std::runtime_error("the loop has nothing to do any more");
            }
        }
    }

    /// What was asked, with blanks for the parts that all have: `index load ready`.
    std::string story() const
    {
        std::string line;
        for (const auto &asked : server.asked) {
            line += (line.empty() ? "" : " ") + asked.substr(asked.rfind('/') + 1);
        }
        return line;
    }

    test_loop loop;
    fake_clock time;
    http_server server{loop.get()};
    rollout::http_client http{loop.get()};
    rollout::server_access access{http, time, rollout::threads_of(loop.get())};

  private:
    std::map<std::string, std::deque<http_server::reply>> script_;
};
