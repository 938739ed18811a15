// HTTP requests to the gateway by libcurl, several at a time on one thread.
#pragma once

#include "ctl/api/http_message.hpp"
#include "ctl/settings/settings.hpp"

#include <curl/curl.h>

#include <array>
#include <chrono>
#include <memory>
#include <string>
#include <utility>

namespace rollout::ctl {

class http_client;

/// A request under way, or its result. Destroying it abandons the request; the client must outlive it.
class http_exchange {
  public:
    http_exchange(http_client &client, http_request request);
    ~http_exchange();
    http_exchange(const http_exchange &) = delete;
    http_exchange &operator=(const http_exchange &) = delete;

    bool ended() const noexcept { return ended_; }

    /// Returns, once the request has ended, a sentence that says why there is no answer; empty if there is one.
    const std::string &fault() const noexcept { return fault_; }

    /// Returns whether the gateway may have received the request although there was no answer.
    bool may_have_arrived() const noexcept { return may_have_arrived_; }

    const http_answer &answer() const noexcept { return answer_; }

    /// Returns what has arrived of the body since the last call, also while the request is under way.
    std::string take_body() noexcept { return std::exchange(answer_.body, {}); }

  private:
    friend class http_client;

    struct list_release {
        void operator()(curl_slist *list) const noexcept { curl_slist_free_all(list); }
    };
    struct easy_release {
        void operator()(CURL *easy) const noexcept { curl_easy_cleanup(easy); }
    };

    void set_up();
    void end(CURLcode code);
    static std::size_t on_body(char *bytes, std::size_t size, std::size_t count, void *self) noexcept;
    static std::size_t on_header(char *bytes, std::size_t size, std::size_t count, void *self) noexcept;

    http_client &client_;
    http_request request_;
    std::string url_;
    std::unique_ptr<CURL, easy_release> easy_;
    std::unique_ptr<curl_slist, list_release> headers_;
    std::array<char, CURL_ERROR_SIZE> said_{};
    http_answer answer_;
    std::string fault_;
    bool too_long_ = false;
    bool ended_ = false;
    bool may_have_arrived_ = false;
};

class http_client {
  public:
    explicit http_client(settings where);
    ~http_client();
    http_client(const http_client &) = delete;
    http_client &operator=(const http_client &) = delete;

    const settings &where() const noexcept { return where_; }

    std::unique_ptr<http_exchange> begin(http_request request);

    /// Processes the requests under way until one makes progress, a signal arrives, or the time is over.
    void work(std::chrono::milliseconds at_most);

    /// Sends a request and waits for its end.
    std::unique_ptr<http_exchange> perform(http_request request);

  private:
    friend class http_exchange;

    struct multi_release {
        void operator()(CURLM *multi) const noexcept { curl_multi_cleanup(multi); }
    };

    settings where_;
    std::unique_ptr<CURLM, multi_release> multi_;
};

} // namespace rollout::ctl
