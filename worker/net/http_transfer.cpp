#include "worker/net/http_transfer.hpp"

#include "worker/base/format.hpp"

#include <algorithm>
#include <chrono>
#include <new>
#include <optional>
#include <utility>

namespace rollout {
namespace {

constexpr std::chrono::milliseconds longest_connect{5000};

std::chrono::milliseconds connect_bound(const http_request &request)
{
    return std::min(longest_connect, request.timeout);
}


/// Returns the `http://host:port` of a URL, the part that messages may show (a URL may contain a password). Nothing if it
/// is not a valid URL.
std::optional<std::string> origin_of(const std::string &url)
{
    const curl_url_ptr parsed(curl_url());
    if (!parsed || curl_url_set(parsed.get(), CURLUPART_URL, url.c_str(), 0) != CURLUE_OK) {
        return std::nullopt;
    }
    const std::string scheme = url_part(parsed.get(), CURLUPART_SCHEME);
    if (scheme != "http" && scheme != "https") {
        return std::nullopt;
    }
    std::string origin = scheme + "://" + url_part(parsed.get(), CURLUPART_HOST);
    if (const std::string port = url_part(parsed.get(), CURLUPART_PORT); !port.empty()) {
        origin += ":" + port;
    }
    return origin;
}


std::size_t on_body(const char *bytes, std::size_t, std::size_t size, void *into) noexcept
{
    auto &to = *static_cast<http_transfer *>(into);
    if (size > to.request.max_answer_bytes - to.answer.body.size()) {
        to.too_long = true;
        return 0;
    }
    try {
        to.answer.body.append(bytes, size);
    } catch (const std::bad_alloc &) {
        return 0;
    }
    return size;
}


/// libcurl's own sockets would be inherited by every program that is started.
curl_socket_t open_socket(void *, curlsocktype, curl_sockaddr *address) noexcept
{
    return ::socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}


/// Returns false if libcurl is out of memory.
bool set_options(http_transfer &of)
{
    of.easy.reset(curl_easy_init());
    if (!of.easy) {
        return false;
    }
    bool fine = true;
    const auto set = [&](CURLoption option, auto value) {
        fine = fine && curl_easy_setopt(of.easy.get(), option, value) == CURLE_OK;
    };
    set(CURLOPT_URL, of.request.url.c_str());
    set(CURLOPT_PROTOCOLS_STR, "http,https");
    set(CURLOPT_FOLLOWLOCATION, 0L);
    set(CURLOPT_PROXY, "");
    set(CURLOPT_NOPROXY, "*");
    set(CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
    set(CURLOPT_USERAGENT, "rolloutd");
    set(CURLOPT_NOSIGNAL, 1L);
#if LIBCURL_VERSION_NUM >= 0x075700
    set(CURLOPT_QUICK_EXIT, 1L); // canceling must not block the loop on a name lookup
#endif
    set(CURLOPT_OPENSOCKETFUNCTION, &open_socket);
    set(CURLOPT_TCP_KEEPALIVE, 1L); // a load may take minutes without a byte
    set(CURLOPT_TCP_KEEPIDLE, 30L);
    set(CURLOPT_TCP_KEEPINTVL, 10L);
    set(CURLOPT_TIMEOUT_MS, static_cast<long>(std::max<long long>(of.request.timeout.count(), 1)));
    set(CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(std::max<long long>(connect_bound(of.request).count(), 1)));
    set(CURLOPT_PRIVATE, static_cast<void *>(&of));
    set(CURLOPT_WRITEFUNCTION, &on_body);
    set(CURLOPT_WRITEDATA, static_cast<void *>(&of));
    if (of.request.method == "POST") {
        set(CURLOPT_POST, 1L);
        set(CURLOPT_POSTFIELDS, of.request.body.c_str());
        set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(of.request.body.size()));
        fine = fine && add_header(of.headers, "Content-Type: application/json") &&
               add_header(of.headers, "Expect:"); // no extra round trip before the body
    }
    set(CURLOPT_HTTPHEADER, of.headers.get());
    return fine;
}


/// Returns why a transfer got no answer, in a sentence.
std::string words_of(const http_transfer &of, CURLcode code)
{
    if (code == CURLE_OPERATION_TIMEDOUT) {
        long request_bytes = 0;
        curl_easy_getinfo(of.easy.get(), CURLINFO_REQUEST_SIZE, &request_bytes);
        return request_bytes > 0
                   ? of.origin + " did not answer within " + format_duration(of.request.timeout)
                   : "no connection to " + of.origin + " within " + format_duration(connect_bound(of.request));
    }
    if (code == CURLE_WRITE_ERROR) {
        return of.too_long ? of.origin + " answered with more than " + format_size(of.request.max_answer_bytes)
                           : "no memory for the answer of " + of.origin;
    }
    return failure_text(of.easy.get(), code, of.origin);
}

} // namespace


bool prepare(http_transfer &of)
{
    auto origin = origin_of(of.request.url);
    if (!origin) {
        of.answer.error = "the URL " + clean_text(of.request.url, 200) + " is not one of http or https";
        of.answer.lasting = true;
        return false;
    }
    of.origin = std::move(*origin);
    if (!set_options(of)) {
        of.answer.error = "no memory for a request to " + of.origin;
        return false;
    }
    return true;
}


void settle(http_transfer &of, CURLcode code)
{
    if (code == CURLE_OK) {
        long status = 0;
        curl_easy_getinfo(of.easy.get(), CURLINFO_RESPONSE_CODE, &status);
        of.answer.status = static_cast<int>(status);
        return;
    }
    of.answer.error = words_of(of, code);
    of.answer.body.clear();
    long request_bytes = 0;
    curl_easy_getinfo(of.easy.get(), CURLINFO_REQUEST_SIZE, &request_bytes);
    of.answer.timed_out = code == CURLE_OPERATION_TIMEDOUT && request_bytes > 0;
    of.answer.lasting = of.too_long || code == CURLE_URL_MALFORMAT;
}

} // namespace rollout
