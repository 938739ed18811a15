#include "ctl/api/http_client.hpp"

#include "common/base/text.hpp"
#include "ctl/api/http_fault.hpp"

#include <new>
#include <string_view>
#include <utility>

#include <strings.h>

namespace rollout::ctl {

namespace {

constexpr std::size_t most_bytes = 64 * 1024 * 1024;
constexpr long connect_timeout_ms = 10000;


/// Returns the value of a header line if it has that name; else empty.
std::string_view value_of(std::string_view line, std::string_view name) noexcept
{
    if (line.size() <= name.size() || line[name.size()] != ':' ||
        ::strncasecmp(line.data(), name.data(), name.size()) != 0) {
        return {};
    }
    line.remove_prefix(name.size() + 1);
    const auto begin = line.find_first_not_of(" \t");
    const auto end = line.find_last_not_of(" \t\r\n");
    return begin == std::string_view::npos || end < begin ? std::string_view() : line.substr(begin, end - begin + 1);
}


/// Returns whether a request whose connection failed in this way certainly did not reach a gateway.
bool never_arrived(CURLcode code) noexcept
{
    return code == CURLE_COULDNT_CONNECT || code == CURLE_COULDNT_RESOLVE_HOST ||
           code == CURLE_COULDNT_RESOLVE_PROXY || code == CURLE_PEER_FAILED_VERIFICATION ||
           code == CURLE_SSL_CONNECT_ERROR || code == CURLE_SSL_CERTPROBLEM || code == CURLE_SSL_CACERT_BADFILE ||
           code == CURLE_UNSUPPORTED_PROTOCOL;
}

} // namespace


http_exchange::http_exchange(http_client &client, http_request request)
    : client_(client), request_(std::move(request)), url_(client.where_.url + request_.path), easy_(curl_easy_init())
{
    if (!easy_) {
        throw std::bad_alloc();
    }
    set_up();
    if (curl_multi_add_handle(client_.multi_.get(), easy_.get()) != CURLM_OK) {
        throw std::bad_alloc();
    }
}


http_exchange::~http_exchange()
{
    curl_multi_remove_handle(client_.multi_.get(), easy_.get());
}


void http_exchange::set_up()
{
    CURL *easy = easy_.get();
    const settings &where = client_.where_;
    const auto set_text = [easy](CURLoption option, const std::string &value) {
        if (!value.empty() && curl_easy_setopt(easy, option, value.c_str()) != CURLE_OK) {
            throw std::bad_alloc();
        }
    };
    set_text(CURLOPT_URL, url_);
    set_text(CURLOPT_UNIX_SOCKET_PATH, where.unix_socket);
    set_text(CURLOPT_SSLCERT, where.cert);
    set_text(CURLOPT_SSLKEY, where.key);
    set_text(CURLOPT_CAINFO, where.cacert);
    curl_easy_setopt(easy, CURLOPT_PRIVATE, this);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, said_.data());
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(easy, CURLOPT_NETRC, where.netrc ? CURL_NETRC_OPTIONAL : CURL_NETRC_IGNORED);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, connect_timeout_ms);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, static_cast<long>(request_.timeout.count()));
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "rolloutctl");
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, this);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, this);
    if (request_.method != "GET") {
        set_text(CURLOPT_CUSTOMREQUEST, request_.method);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, static_cast<long>(request_.body.size()));
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, request_.body.c_str());
        request_.headers.emplace_back("Expect:"); // no wait for a 100 before a body of a few bytes
    }
    for (const auto &line : request_.headers) {
        curl_slist *longer = curl_slist_append(headers_.get(), line.c_str());
        if (longer == nullptr) {
            throw std::bad_alloc();
        }
        static_cast<void>(headers_.release());
        headers_.reset(longer);
    }
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers_.get());
}


void http_exchange::end(CURLcode code)
{
    ended_ = true;
    if (code == CURLE_OK) {
        curl_easy_getinfo(easy_.get(), CURLINFO_RESPONSE_CODE, &answer_.status);
        return;
    }
    long system_error = 0;
    curl_easy_getinfo(easy_.get(), CURLINFO_OS_ERRNO, &system_error);
    may_have_arrived_ = !never_arrived(code);
    fault_ = describe_fault(too_long_ ? CURLE_FILESIZE_EXCEEDED : code, said_.data(), static_cast<int>(system_error),
                            client_.where_, request_.timeout);
}


std::size_t http_exchange::on_body(char *bytes, std::size_t size, std::size_t count, void *self) noexcept
try {
    auto &exchange = *static_cast<http_exchange *>(self);
    if (exchange.answer_.body.size() + size * count > most_bytes) {
        exchange.too_long_ = true;
        return 0;
    }
    exchange.answer_.body.append(bytes, size * count);
    return size * count;
} catch (const std::bad_alloc &) {
    return 0;
}


std::size_t http_exchange::on_header(char *bytes, std::size_t size, std::size_t count, void *self) noexcept
try {
    const std::string_view line(bytes, size * count);
    http_answer &answer = static_cast<http_exchange *>(self)->answer_;
    if (line.starts_with("HTTP/")) { // the final answer follows a 100 or the answer of a proxy
        answer = {};
    } else if (const auto type = value_of(line, "Content-Type"); !type.empty()) {
        answer.content_type = type.substr(0, type.find(';'));
    } else if (const auto etag = value_of(line, "ETag"); !etag.empty()) {
        answer.etag = etag;
    } else if (const auto after = value_of(line, "Retry-After"); !after.empty()) {
        read_number(after, answer.retry_after_s);
    } else if (const auto date = value_of(line, "Date"); !date.empty()) {
        const auto seconds = curl_getdate(std::string(date).c_str(), nullptr);
        answer.date_s = seconds > 0 ? static_cast<long long>(seconds) : 0;
    }
    return size * count;
} catch (const std::bad_alloc &) {
    return 0;
}


http_client::http_client(settings where) : where_(std::move(where))
{
    static const CURLcode started = curl_global_init(CURL_GLOBAL_DEFAULT);
    multi_.reset(started == CURLE_OK ? curl_multi_init() : nullptr);
    if (!multi_) {
        throw std::bad_alloc();
    }
}


http_client::~http_client() = default;


std::unique_ptr<http_exchange> http_client::begin(http_request request)
{
    return std::make_unique<http_exchange>(*this, std::move(request));
}


void http_client::work(std::chrono::milliseconds at_most)
{
    int running = 0;
    curl_multi_perform(multi_.get(), &running);
    const auto collect = [this] {
        bool news = false;
        int left = 0;
        while (const CURLMsg *message = curl_multi_info_read(multi_.get(), &left)) {
            char *exchange = nullptr;
            curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &exchange);
            if (message->msg == CURLMSG_DONE && exchange != nullptr) {
                reinterpret_cast<http_exchange *>(exchange)->end(message->data.result);
                news = true;
            }
        }
        return news;
    };
    if (collect()) {
        return;
    }
    curl_multi_poll(multi_.get(), nullptr, 0, static_cast<int>(at_most.count()), nullptr);
    curl_multi_perform(multi_.get(), &running);
    collect();
}


std::unique_ptr<http_exchange> http_client::perform(http_request request)
{
    auto exchange = begin(std::move(request));
    while (!exchange->ended()) {
        work(std::chrono::seconds(1));
    }
    return exchange;
}

} // namespace rollout::ctl
