// A request to the gateway, and its answer.
#pragma once

#include <chrono>
#include <string>
#include <vector>

namespace rollout::ctl {

struct http_request {
    std::string method = "GET";
    std::string path = {};                 ///< including the query; appended to the gateway's URL
    std::vector<std::string> headers = {}; ///< `Name: value`
    std::string body = {};                 ///< sent if the method is not GET
    std::chrono::milliseconds timeout = std::chrono::seconds(30);
};

struct http_answer {
    long status = 0;
    std::string content_type = {};
    std::string etag = {};
    std::string body = {};
    unsigned retry_after_s = 0;
    long long date_s = 0; ///< by the gateway's clock, since 1970; 0: not given
};

} // namespace rollout::ctl
