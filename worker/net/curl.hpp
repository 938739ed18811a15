// What all users of libcurl share: its start, its owners, its words.
#pragma once

#include <curl/curl.h>

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

using curl_easy_ptr = std::unique_ptr<CURL, curl_releaser<curl_easy_cleanup>>;
using curl_url_ptr = std::unique_ptr<CURLU, curl_releaser<curl_url_cleanup>>;
using curl_list_ptr = std::unique_ptr<curl_slist, curl_releaser<curl_slist_free_all>>;

/// Starts libcurl with its first use, from any thread. False where it cannot be started.
bool curl_is_started();

/// A part of a URL; empty where it has none.
std::string url_part(CURLU *url, CURLUPart which, unsigned flags = 0);

/// Appends a header's line; false where there is no memory.
bool add_header(curl_list_ptr &to, const std::string &line);

/// Why a request brought no answer, in a sentence without its full stop. Time limits are their setter's to word.
std::string failure_text(CURL *easy, CURLcode code, const std::string &origin);

} // namespace rollout
