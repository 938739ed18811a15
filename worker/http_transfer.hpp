// One request as libcurl sees it: its options, and what its end means in a sentence.
#pragma once

#include "worker/http_client.hpp"

#include <curl/curl.h>

#include <functional>
#include <memory>
#include <string>

namespace rollout {

template <auto release>
struct curl_releaser {
    template <typename T>
    void operator()(T *held) const noexcept
    {
        release(held);
    }
};

/// libcurl keeps pointers into it, so it stays where it is while `easy` lives.
struct http_transfer {
    std::unique_ptr<CURL, curl_releaser<curl_easy_cleanup>> easy;
    std::unique_ptr<curl_slist, curl_releaser<curl_slist_free_all>> headers;
    http_request request;
    http_answer answer;
    std::function<void(http_answer)> done; ///< null once it has run or nobody waits for it
    std::string origin;                    ///< `http://host:port`, for sentences
    bool too_long = false;
};

/// Makes `easy` from `request`; false with the answer's `error` set where that cannot be done.
bool prepare(http_transfer &of);

/// Fills in the answer at the end of the transfer, while `easy` is still there.
void settle(http_transfer &of, CURLcode code);

} // namespace rollout
