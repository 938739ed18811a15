#include "worker/artifact/download.hpp"

#include "worker/artifact/partial_file.hpp"
#include "worker/base/format.hpp"
#include "worker/fs/destination.hpp"
#include "worker/fs/sha256.hpp"
#include "worker/net/curl.hpp"
#include "worker/net/local_address.hpp"
#include "worker/net/source_url.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <optional>
#include <string_view>

#include <netdb.h>

namespace rollout {

namespace {

using namespace std::chrono_literals;

constexpr std::chrono::milliseconds longest_connect = 10s;
constexpr std::chrono::milliseconds longest_silence = 60s;
constexpr unsigned most_redirects = 5;

/// The number of connections that may break in a row, provided that each delivers something; after that, the step's own
/// retries take over.
constexpr unsigned most_resumptions = 20;

enum : long { status_ok = 200, status_partial = 206, status_no_such_range = 416 };


class downloading {
  public:
    downloading(const download_request &request, fetch_progress *progress, const stop_flag &stop)
        : request_(request), progress_(progress), stop_(stop), file_(request.file)
    {
    }

    outcome run(unique_fd &into)
    {
        outcome ended = file_.open(!request_.sha256.empty(), stop_);
        if (ended && file_.size() > request_.max_bytes) {
            ended = file_.start_over(); // left over from when more was allowed
        }
        if (ended) {
            ended = bring_it_all();
        }
        if (ended) {
            ended = judge();
        }
        if (ended) {
            into.reset(file_.release());
        } else if (request_.sha256.empty() || ended.is == outcome::kind::permanent) {
            ::unlink(request_.file.c_str());
        }
        return ended;
    }

  private:
    outcome judge()
    {
        if (request_.sha256.empty()) {
            return outcome::ok();
        }
        auto checked = check_sha256(shown_, file_.digest(), request_.sha256);
        if (checked || !file_.began_earlier()) {
            return checked;
        }
        // The server's file may have changed between two attempts.
        if (auto emptied = file_.start_over(); !emptied) {
            return emptied;
        }
        if (auto again = bring_it_all(); !again) {
            return again;
        }
        return judge();
    }

    // The requests.

    /// Requests until the file is complete: a first request, then another for the rest each time that a connection
    /// breaks.
    outcome bring_it_all()
    {
        validator_.clear();
        for (unsigned resumed = 0;; ++resumed) {
            const std::uint64_t before = file_.size();
            starts_again_ = false;
            outcome ended = follow();
            const bool goes_on = file_.size() > before || starts_again_;
            if (ended.is != outcome::kind::transient || !goes_on || resumed == most_resumptions) {
                return ended;
            }
            if (request_.sha256.empty() && validator_.empty()) {
                return ended; // nothing would show whether the rest belongs to what is here
            }
        }
    }

    /// Sends one request and follows its redirects.
    outcome follow()
    {
        std::string url = request_.source;
        for (unsigned hops = 0; hops <= most_redirects; ++hops) {
            bool may_be_local = false;
            const auto source = allowed_web_source(url, request_.allow, may_be_local);
            if (!source) {
                return outcome::permanent(
                    hops == 0 ? source.sentence()
                              : shown_ + " redirects to a URL that is not allowed: " + source.sentence());
            }
            if (hops == 0) {
                shown_ = source->shown;
            }
            asked_ = source->shown;
            may_be_local_ = may_be_local || request_.allow_local;
            std::string next;
            outcome ended = ask(*source, next);
            if (next.empty()) {
                return ended;
            }
            url = next.substr(0, next.find('#'));
        }
        return outcome::permanent(shown_ + " redirects more than " + std::to_string(most_redirects) + " times");
    }

    outcome ask(const web_source &source, std::string &redirect)
    {
        failure_.reset();
        refused_address_.reset();
        answer_ = answer::none;
        if (!easy_) {
            easy_.reset(curl_is_started() ? curl_easy_init() : nullptr);
        }
        if (!easy_ || !set_options(source)) {
            return outcome::transient("no memory for a request to " + source.origin);
        }
        const CURLcode code = curl_easy_perform(easy_.get());
        if (stop_) {
            return outcome::canceled();
        }
        if (answer_ == answer::none && (code == CURLE_OK || is_redirect())) {
            judge_answer(); // it has no body, or none has arrived
        }
        if (failure_) {
            return std::move(*failure_);
        }
        if (answer_ == answer::redirect) {
            return find_redirect(source, redirect);
        }
        return code == CURLE_OK ? outcome::ok() : failure_of(code, source.origin);
    }

    bool set_options(const web_source &source)
    {
        curl_easy_reset(easy_.get());
        headers_.reset();
        range_.clear();
        bool fine = true;
        const auto set = [&](CURLoption option, auto value) {
            fine = fine && curl_easy_setopt(easy_.get(), option, value) == CURLE_OK;
        };
        set(CURLOPT_URL, source.url.c_str());
        set(CURLOPT_PATH_AS_IS, 1L);
        set(CURLOPT_PROTOCOLS_STR, "http,https");
        set(CURLOPT_FOLLOWLOCATION, 0L);
        set(CURLOPT_PROXY, ""); // a proxy would choose the address itself
        set(CURLOPT_NOPROXY, "*");
        set(CURLOPT_USERAGENT, "rolloutd");
        set(CURLOPT_NOSIGNAL, 1L);
        set(CURLOPT_TCP_KEEPALIVE, 1L);
        set(CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(longest_connect.count()));
        set(CURLOPT_LOW_SPEED_LIMIT, 1L);
        set(CURLOPT_LOW_SPEED_TIME, static_cast<long>(longest_silence / 1s));
        if (!request_.ca_file.empty()) {
            set(CURLOPT_CAINFO, request_.ca_file.c_str());
        }
        set(CURLOPT_OPENSOCKETFUNCTION, &downloading::on_open_socket);
        set(CURLOPT_OPENSOCKETDATA, static_cast<void *>(this));
        set(CURLOPT_NOPROGRESS, 0L);
        set(CURLOPT_XFERINFOFUNCTION, &downloading::on_progress);
        set(CURLOPT_XFERINFODATA, static_cast<void *>(this));
        set(CURLOPT_WRITEFUNCTION, &downloading::on_body);
        set(CURLOPT_WRITEDATA, static_cast<void *>(this));
        if (file_.size() > 0) {
            range_ = std::to_string(file_.size()) + "-";
            set(CURLOPT_RANGE, range_.c_str());
            if (!validator_.empty()) {
                fine = fine && add_header(headers_, "If-Range: " + validator_);
            }
        }
        set(CURLOPT_HTTPHEADER, headers_.get());
        return fine;
    }

    outcome failure_of(CURLcode code, const std::string &origin) const
    {
        switch (code) {
        case CURLE_COULDNT_CONNECT:
            return refused_address_ ? *refused_address_ : outcome::transient(failure_text(easy_.get(), code, origin));
        case CURLE_OPERATION_TIMEDOUT:
            return outcome::transient(origin + " did not answer, or stopped sending, for " +
                                      format_duration(longest_silence) + " (or " + format_duration(longest_connect) +
                                      " while connecting)");
        case CURLE_PEER_FAILED_VERIFICATION:
        case CURLE_SSL_CACERT_BADFILE:
            return outcome::permanent(origin + " has a certificate that is not trusted (" + curl_easy_strerror(code) +
                                      "); if it is your own authority's, name its file in artifacts.ca_file");
        case CURLE_URL_MALFORMAT:
        case CURLE_UNSUPPORTED_PROTOCOL:
        case CURLE_WEIRD_SERVER_REPLY:
            return outcome::permanent(failure_text(easy_.get(), code, origin));
        default:
            return outcome::transient(failure_text(easy_.get(), code, origin));
        }
    }

    // libcurl's callbacks. They do not throw.

    static curl_socket_t on_open_socket(void *self, curlsocktype, curl_sockaddr *address) noexcept
    {
        return static_cast<downloading *>(self)->open_socket(*address);
    }

    curl_socket_t open_socket(const curl_sockaddr &address) noexcept
    {
        try {
            const std::string_view kind = kind_of_local_address(address.addr);
            if (!kind.empty() && !may_be_local_) {
                std::array<char, NI_MAXHOST> digits{};
                ::getnameinfo(&address.addr, static_cast<socklen_t>(address.addrlen), digits.data(), digits.size(),
                              nullptr, 0, NI_NUMERICHOST);
                refused_address_ = outcome::permanent(
                    asked_ + " leads to " + digits.data() + ", " + std::string(kind) +
                    ", where models are not fetched from unless artifacts.allow_local is true, or artifacts.allow "
                    "names that very address");
                return CURL_SOCKET_BAD;
            }
        } catch (...) {
            return CURL_SOCKET_BAD;
        }
        return ::socket(address.family, address.socktype | SOCK_CLOEXEC, address.protocol);
    }

    static int on_progress(void *self, curl_off_t, curl_off_t, curl_off_t, curl_off_t) noexcept
    {
        return static_cast<downloading *>(self)->stop_ ? 1 : 0;
    }

    static std::size_t on_body(const char *bytes, std::size_t, std::size_t size, void *self) noexcept
    {
        auto &of = *static_cast<downloading *>(self);
        try {
            return of.append(bytes, size) ? size : 0;
        } catch (...) {
            return 0;
        }
    }

    // The answer.

    enum class answer { none, body, redirect, failure };

    /// Decides by the header, since libcurl itself looks for a redirect only at the end of an answer.
    bool is_redirect() const
    {
        long status = 0;
        curl_easy_getinfo(easy_.get(), CURLINFO_RESPONSE_CODE, &status);
        return (status == 301 || status == 302 || status == 303 || status == 307 || status == 308) &&
               !header("Location").empty();
    }

    /// Finds the target of a redirect, relative to the requested URL (RFC 9110, 10.2.2).
    outcome find_redirect(const web_source &source, std::string &redirect) const
    {
        const curl_url_ptr url(curl_url());
        constexpr unsigned flags = CURLU_PATH_AS_IS | CURLU_URLENCODE | CURLU_NON_SUPPORT_SCHEME;
        if (!url) {
            return outcome::transient("no memory for a request to " + source.origin);
        }
        if (curl_url_set(url.get(), CURLUPART_URL, source.url.c_str(), flags) != CURLUE_OK ||
            curl_url_set(url.get(), CURLUPART_URL, header("Location").c_str(), flags) != CURLUE_OK) {
            return outcome::permanent(asked_ + " redirects to an invalid URL");
        }
        redirect = url_part(url.get(), CURLUPART_URL);
        return redirect.empty() ? outcome::permanent(asked_ + " redirects to an invalid URL") : outcome::ok();
    }

    /// Called at the first byte of the body, or at the end if there is none.
    void judge_answer()
    {
        long status = 0;
        curl_easy_getinfo(easy_.get(), CURLINFO_RESPONSE_CODE, &status);
        if (is_redirect()) {
            answer_ = answer::redirect;
        } else if (status == status_ok || status == status_partial) {
            answer_ = answer::body;
            begin_file(status == status_partial);
        } else if (status == status_no_such_range && file_.size() > 0) {
            again(asked_ + " has a different length than before");
        } else {
            const bool may_pass = status == 408 || status == 425 || status == 429 || status >= 500;
            fail({may_pass ? outcome::kind::transient : outcome::kind::permanent,
                  asked_ + " answered " + std::to_string(status)});
        }
    }

    void begin_file(bool is_partial)
    {
        const std::string tag = header("ETag");
        if (!is_partial) {
            if (file_.size() > 0) {
                if (auto emptied = file_.start_over(); !emptied) {
                    fail(std::move(emptied));
                    return;
                }
            }
            validator_ = tag.starts_with('"') ? tag : ""; // a weak one says nothing about bytes (RFC 9110, 13.1.5)
        } else if (!continues_here(header("Content-Range")) ||
                   (!validator_.empty() && !tag.empty() && tag != validator_)) {
            again(asked_ + " is not the same file as before");
            return;
        }
        curl_off_t rest = -1;
        curl_easy_getinfo(easy_.get(), CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &rest);
        make_sure_of_space(rest);
    }

    /// `rest` is -1 if the server does not give it.
    void make_sure_of_space(curl_off_t rest)
    {
        const auto folder = request_.file.parent_path();
        std::uint64_t free = 0;
        if (auto found = find_space(folder, free); !found) {
            fail(std::move(found));
            return;
        }
        most_ = request_.max_bytes;
        if (rest < 0) {
            most_ = std::min(most_, file_.size() + free);
            return;
        }
        const std::uint64_t total = file_.size() + static_cast<std::uint64_t>(rest);
        if (total > most_) {
            fail(over_bound());
        } else if (auto fits = check_space(folder, static_cast<std::uint64_t>(rest)); !fits) {
            fail(std::move(fits));
        } else if (progress_ != nullptr) {
            progress_->total_bytes = total;
        }
    }

    outcome over_bound() const
    {
        if (most_ < request_.max_bytes) {
            return outcome::permanent(shown_ + " is more than the " + format_size(most_) +
                                      " that the file system of " + shown(request_.file.parent_path()) +
                                      " has room for");
        }
        return outcome::permanent(shown_ + " is more than " + format_size(most_) + " (artifacts.max_bytes)");
    }

    bool append(const char *bytes, std::size_t size)
    {
        if (answer_ == answer::none) {
            judge_answer();
        }
        if (answer_ != answer::body) {
            return false; // the body of a redirect or of a failure is not read at all
        }
        if (size > most_ - file_.size()) {
            fail(over_bound());
            return false;
        }
        if (auto appended = file_.append(bytes, size); !appended) {
            fail(std::move(appended));
            return false;
        }
        if (progress_ != nullptr) {
            progress_->done_bytes = file_.size();
        }
        return true;
    }

    void fail(outcome result)
    {
        answer_ = answer::failure;
        failure_ = std::move(result);
    }

    /// The local bytes are not the beginning of the server's current file.
    void again(const std::string &why)
    {
        auto emptied = file_.start_over();
        starts_again_ = true;
        fail(emptied ? outcome::transient(why + ": it is fetched again from the start") : std::move(emptied));
    }

    std::string header(const char *name) const
    {
        curl_header *found = nullptr;
        return curl_easy_header(easy_.get(), name, 0, CURLH_HEADER, -1, &found) == CURLHE_OK ? found->value : "";
    }

    /// Returns whether the range, as in `bytes 1000-1999/2000` (RFC 9110, 14.4), continues the local bytes.
    bool continues_here(std::string_view range) const
    {
        constexpr std::string_view unit = "bytes ";
        if (!range.starts_with(unit)) {
            return false;
        }
        range.remove_prefix(unit.size());
        std::uint64_t first = 0;
        const auto [end, error] = std::from_chars(range.data(), range.data() + range.size(), first);
        return error == std::errc() && end != range.data() + range.size() && *end == '-' && first == file_.size();
    }

    const download_request &request_;
    fetch_progress *progress_;
    const stop_flag &stop_;
    std::string shown_ = "the source"; ///< the URL of the first request
    std::string asked_;                ///< and of the current one, after redirects
    partial_file file_;
    curl_easy_ptr easy_;
    curl_list_ptr headers_;
    std::string range_;
    answer answer_ = answer::none;
    std::optional<outcome> failure_;         ///< found in an answer
    std::optional<outcome> refused_address_; ///< an address of the server's, refused when connecting
    std::string validator_;                  ///< the strong ETag of the local bytes; empty: none
    std::uint64_t most_ = 0;                 ///< the most that the file may become
    bool may_be_local_ = false;
    bool starts_again_ = false;
};

} // namespace


outcome download(const download_request &request, fetch_progress *progress, const stop_flag &stop, unique_fd &into)
{
    return downloading(request, progress, stop).run(into);
}

} // namespace rollout
