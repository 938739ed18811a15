#include "ctl/api/http_fault.hpp"

#include "ctl/base/durations.hpp"

#include <cstring>

namespace rollout::ctl {

namespace {

std::string name_of(const settings &where)
{
    return where.unix_socket.empty() ? where.url : where.url + " (unix:" + where.unix_socket + ")";
}


/// Returns OpenSSL's part of libcurl's text about a certificate.
std::string_view cause_of(std::string_view said) noexcept
{
    static constexpr std::string_view frame = "SSL certificate problem: ";
    return said.starts_with(frame) ? said.substr(frame.size()) : said;
}

} // namespace


std::string describe_fault(CURLcode code, std::string_view said, int system_error, const settings &where,
                           std::chrono::milliseconds timeout)
{
    const std::string gateway = name_of(where);
    const std::string words(said.empty() ? curl_easy_strerror(code) : said);
    switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
        return "The host of " + gateway + " is unknown. Check --url, ROLLOUT_URL and rolloutctl.json.";
    case CURLE_COULDNT_RESOLVE_PROXY:
        return "The proxy's host is unknown. Check http_proxy and https_proxy, or add the gateway to no_proxy.";
    case CURLE_COULDNT_CONNECT:
        return "No gateway answers at " + gateway + ": " + (system_error != 0 ? std::strerror(system_error) : words) +
               ". Start nginx, or name the gateway with --url.";
    case CURLE_OPERATION_TIMEDOUT:
        return "The gateway at " + gateway + " did not answer within " + format_duration(timeout) +
               ". Check nginx and the network.";
    case CURLE_GOT_NOTHING:
    case CURLE_PARTIAL_FILE:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_ERROR:
        return "The connection to the gateway at " + gateway + " broke before the answer was complete. Try again.";
    case CURLE_PEER_FAILED_VERIFICATION:
        return "The certificate of " + gateway + " is not accepted: " + std::string(cause_of(words)) +
               ". Renew it, or name the authority that has signed it with --cacert.";
    case CURLE_SSL_CACERT_BADFILE:
        return "The authorities' file " + where.cacert + " cannot be read. Check --cacert.";
    case CURLE_SSL_CERTPROBLEM:
        return "Your certificate " + where.cert + " cannot be used: " + words + ". Check --cert and --key.";
    case CURLE_SSL_CONNECT_ERROR:
        return "No TLS connection to " + gateway + " can be made: " + words +
               ". Check that the port speaks TLS, and that the certificate given with --cert is valid.";
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_WEIRD_SERVER_REPLY:
        return gateway + " does not answer in HTTP. Check --url.";
    case CURLE_FILESIZE_EXCEEDED:
        return "The answer of " + gateway + " is over 64 MiB, which is more than a gateway sends. Check --url.";
    default:
        return "The request to " + gateway + " failed: " + words + ".";
    }
}

} // namespace rollout::ctl
