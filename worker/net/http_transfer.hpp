// One request as libcurl sees it: its options, and what its end means in a sentence.
#pragma once

#include "worker/net/curl.hpp"
#include "worker/net/http_client.hpp"

#include <functional>
#include <memory>
#include <string>

namespace rollout {

/// libcurl keeps pointers into it, so it stays where it is while `easy` lives.
struct http_transfer {
    curl_easy_ptr easy;
    curl_list_ptr headers;
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
