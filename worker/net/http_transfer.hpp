// One request as libcurl sees it: its options, and its result as a sentence.
#pragma once

#include "worker/net/curl.hpp"
#include "worker/net/http_client.hpp"

#include <functional>
#include <memory>
#include <string>

namespace rollout {

/// libcurl keeps pointers into it, so it must not move while `easy` exists.
struct http_transfer {
    curl_easy_ptr easy;
    curl_list_ptr headers;
    http_request request;
    http_answer answer;
    std::function<void(http_answer)> done; ///< null once it has run, or if nobody waits for it
    std::string origin;                    ///< `http://host:port`, for messages
    bool too_long = false;
};

/// Creates `easy` from `request`; returns false, with the answer's `error` set, if that fails.
bool prepare(http_transfer &of);

/// Fills in the answer at the end of the transfer, while `easy` still exists.
void settle(http_transfer &of, CURLcode code);

} // namespace rollout
