// A web server on a test's own loop, on loopback: each request is answered by the test, one a connection.
#pragma once

#include <uv.h>

#include <arpa/inet.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <functional>
#include <list>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

class http_server {
  public:
    struct request {
        std::string method;
        std::string path; ///< with its query
        std::string head; ///< its lines, lower-case, each with CR LF
        std::string body;

        /// Empty if it has none.
        std::string header(std::string_view name) const
        {
            const auto begins = head.find("\r\n" + std::string(name) + ": ");
            if (begins == std::string::npos) {
                return "";
            }
            const auto value = begins + name.size() + 4;
            return head.substr(value, head.find("\r\n", value) - value);
        }
    };

    /// The bytes of an answer, after which the connection ends. Empty: it ends without one. `hold`: it does not end.
    struct reply {
        std::string bytes;
        bool hold = false;
    };

    static reply answer(int status, std::string_view body, const std::string &headers = "")
    {
        return {"HTTP/1.1 " + std::to_string(status) + " Said\r\nConnection: close\r\nContent-Length: " +
                    std::to_string(body.size()) + "\r\n" + headers + "\r\n" + std::string(body),
                false};
    }

    /// Never, as long as the server is there.
    static reply no_answer() { return {"", true}; }

    /// The connection's end instead of an answer.
    static reply cut_off() { return {"", false}; }

    explicit http_server(uv_loop_t *loop, std::function<reply(const request &)> answers = {})
        : on_request(std::move(answers)), loop_(loop), listener_(new uv_tcp_t)
    {
        sockaddr_in address{};
        uv_ip4_addr("127.0.0.1", 0, &address);
        uv_tcp_init(loop, listener_);
        listener_->data = this;
        int length = sizeof address;
        if (uv_tcp_bind(listener_, reinterpret_cast<const sockaddr *>(&address), 0) != 0 ||
            uv_listen(reinterpret_cast<uv_stream_t *>(listener_), 64, &http_server::on_connection) != 0 ||
            uv_tcp_getsockname(listener_, reinterpret_cast<sockaddr *>(&address), &length) != 0) {
            throw std::runtime_error("no server on loopback");
        }
        port_ = ntohs(address.sin_port);
        // It alone keeps no loop running.
        uv_unref(reinterpret_cast<uv_handle_t *>(listener_));
    }
    ~http_server() { close(); }
    http_server(const http_server &) = delete;
    http_server &operator=(const http_server &) = delete;

    /// From then on, connections are refused.
    void close()
    {
        if (uv_tcp_t *listener = std::exchange(listener_, nullptr)) {
            uv_close(reinterpret_cast<uv_handle_t *>(listener),
                     [](uv_handle_t *handle) { delete reinterpret_cast<uv_tcp_t *>(handle); });
        }
        for (connection *one : std::exchange(connections_, {})) {
            one->server = nullptr;
            one->end();
        }
    }

    /// `http://127.0.0.1:40123`
    std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }
    int port() const noexcept { return port_; }

    /// What was asked, `POST /v2/repository/index` each.
    std::vector<std::string> asked;

    std::function<reply(const request &)> on_request;

  private:
    struct connection {
        uv_tcp_t handle{};
        uv_write_t writing{};
        http_server *server = nullptr;
        std::string received;
        std::string sent;
        bool ending = false;

        void end()
        {
            if (!std::exchange(ending, true)) {
                if (server != nullptr) {
                    server->connections_.remove(this);
                }
                uv_close(reinterpret_cast<uv_handle_t *>(&handle),
                         [](uv_handle_t *closed) { delete static_cast<connection *>(closed->data); });
            }
        }

        void read(std::string_view bytes)
        {
            received += bytes;
            const auto head_ends = received.find("\r\n\r\n");
            if (head_ends == std::string::npos || server == nullptr) {
                return;
            }
            request of;
            of.head = received.substr(0, head_ends + 2);
            const auto method_ends = of.head.find(' ');
            of.method = of.head.substr(0, method_ends);
            of.path = of.head.substr(method_ends + 1, of.head.find(' ', method_ends + 1) - method_ends - 1);
            std::ranges::transform(of.head, of.head.begin(),
                                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
            const std::string length = of.header("content-length");
            of.body = received.substr(head_ends + 4);
            if (!length.empty() && of.body.size() < std::strtoul(length.c_str(), nullptr, 10)) {
                return; // more is to come
            }
            received.clear();
            server->asked.push_back(of.method + " " + of.path);
            reply given = server->on_request ? server->on_request(of) : answer(404, "");
            write(std::move(given));
        }

        void write(reply given)
        {
            if (given.bytes.empty()) {
                if (!given.hold) {
                    end();
                }
                return;
            }
            sent = std::move(given.bytes);
            uv_buf_t buffer = uv_buf_init(sent.data(), static_cast<unsigned>(sent.size()));
            writing.data = this;
            uv_write(
                &writing, reinterpret_cast<uv_stream_t *>(&handle), &buffer, 1,
                given.hold ? nullptr
                           : +[](uv_write_t *written, int) { static_cast<connection *>(written->data)->end(); });
        }
    };

    static void on_connection(uv_stream_t *listener, int status)
    {
        auto &server = *static_cast<http_server *>(listener->data);
        if (status != 0) {
            return;
        }
        auto *made = new connection;
        made->server = &server;
        uv_tcp_init(server.loop_, &made->handle);
        made->handle.data = made;
        uv_accept(listener, reinterpret_cast<uv_stream_t *>(&made->handle));
        server.connections_.push_back(made);
        uv_read_start(
            reinterpret_cast<uv_stream_t *>(&made->handle),
            [](uv_handle_t *, std::size_t size, uv_buf_t *buffer) {
                *buffer = uv_buf_init(new char[size], static_cast<unsigned>(size));
            },
            [](uv_stream_t *stream, ssize_t size, const uv_buf_t *buffer) {
                const std::unique_ptr<char[]> bytes(buffer->base);
                auto &from = *static_cast<connection *>(stream->data);
                if (size < 0) {
                    from.end();
                } else if (size > 0) {
                    from.read({bytes.get(), static_cast<std::size_t>(size)});
                }
            });
    }

    uv_loop_t *loop_;
    uv_tcp_t *listener_;
    std::list<connection *> connections_;
    int port_ = 0;
};
