#include "worker/net/curl.hpp"

#include "worker/base/format.hpp"

namespace rollout {

bool curl_is_started()
{
    static const CURLcode global = curl_global_init(CURL_GLOBAL_DEFAULT);
    return global == CURLE_OK;
}


std::string url_part(CURLU *url, CURLUPart which, unsigned flags)
{
    char *text = nullptr;
    if (curl_url_get(url, which, &text, flags) != CURLUE_OK) {
        return {};
    }
    const std::unique_ptr<char, curl_releaser<curl_free>> owner(text);
    return text;
}


bool add_header(curl_list_ptr &to, const std::string &line)
{
    curl_slist *longer = curl_slist_append(to.get(), line.c_str());
    if (longer != nullptr) {
        static_cast<void>(to.release());
        to.reset(longer);
    }
    return longer != nullptr;
}


std::string failure_text(CURL *easy, CURLcode code, const std::string &origin)
{
    long system_error = 0;
    curl_easy_getinfo(easy, CURLINFO_OS_ERRNO, &system_error);

    switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
        return "no connection to " + origin + " (its name cannot be resolved)";
    case CURLE_COULDNT_CONNECT:
        return "no connection to " + origin + " (" +
               (system_error != 0 ? format_errno(static_cast<int>(system_error)) : curl_easy_strerror(code)) + ")";
    case CURLE_GOT_NOTHING:
        return origin + " closed the connection without an answer";
    case CURLE_PARTIAL_FILE:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
        return "the connection to " + origin + " broke before the answer was whole";
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_WEIRD_SERVER_REPLY:
        return origin + " answered with something that is not HTTP";
    default:
        return "the request to " + origin + " failed (" + curl_easy_strerror(code) + ")";
    }
}

} // namespace rollout
