// What all users of libcurl share: its initialization, RAII types and error texts.
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

/// Initializes libcurl at its first use, from any thread. Returns false if it cannot be initialized.
bool curl_is_started();

/// Returns a part of a URL; empty if it has none.
std::string url_part(CURLU *url, CURLUPart which, unsigned flags = 0);

/// Appends a header line; returns false if memory is short.
bool add_header(curl_list_ptr &to, const std::string &line);

/// Returns why a request got no answer, as a sentence without its full stop. Timeouts are described by the caller that
/// sets them.
std::string failure_text(CURL *easy, CURLcode code, const std::string &origin);

} // namespace rollout
