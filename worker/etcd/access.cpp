#include "worker/etcd/access.hpp"

#include "common/base/hash.hpp"
#include "common/base/unique_fd.hpp"
#include "worker/base/format.hpp"
#include "worker/etcd/certificates.hpp"
#include "worker/etcd/rpc_environment.hpp"
#include "worker/net/local_address.hpp"

#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/security/tls_certificate_provider.h>
#include <grpcpp/security/tls_credentials_options.h>
#include <grpcpp/support/channel_arguments.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <charconv>
#include <iterator>
#include <utility>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>

namespace rollout::etcd {

namespace {

constexpr unsigned certificates_read_s = 2;
constexpr int keepalive_every_ms = 10000; ///< etcd closes connections that ask more often than each 5 s
constexpr int keepalive_timeout_ms = 5000;
constexpr int largest_answer_bytes = 64 * 1024 * 1024;

bool leads_to_this_machine(const std::string &host)
{
    sockaddr_in four{};
    sockaddr_in6 six{};
    four.sin_family = AF_INET;
    six.sin6_family = AF_INET6;
    if (inet_pton(AF_INET, host.c_str(), &four.sin_addr) == 1) {
        return kind_of_local_address(reinterpret_cast<const sockaddr &>(four)) == "a loopback address";
    }
    if (inet_pton(AF_INET6, host.c_str(), &six.sin6_addr) == 1) {
        return kind_of_local_address(reinterpret_cast<const sockaddr &>(six)) == "a loopback address";
    }
    return host == "localhost";
}


bool is_host(const std::string &host, bool in_brackets)
{
    if (in_brackets) {
        in6_addr ignored{};
        return inet_pton(AF_INET6, host.c_str(), &ignored) == 1;
    }
    return !host.empty() && std::ranges::all_of(host, [](unsigned char c) {
        return std::isalnum(c) != 0 || c == '.' || c == '-' || c == '_';
    });
}


std::string unreadable(std::string_view member, const std::string &path)
{
    const unique_fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    return file.get() >= 0
               ? std::string()
               : std::string(member) + ": " + shown(path) + " cannot be read (" + format_errno(errno) + ')';
}


grpc::ChannelArguments arguments_of_channels()
{
    grpc::ChannelArguments arguments;
    // Channels to one address share a connection otherwise, and a watch starves beside reads (etcd's issue 15402).
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
    arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0); // only the client knows what may be repeated
    arguments.SetInt(GRPC_ARG_SERVICE_CONFIG_DISABLE_RESOLUTION, 1);
    arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, keepalive_every_ms);
    arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, keepalive_timeout_ms);
    arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
    arguments.SetMaxReceiveMessageSize(largest_answer_bytes);
    return arguments;
}


std::shared_ptr<grpc::ChannelCredentials> tls_credentials(const access_settings &settings)
{
    grpc::experimental::TlsChannelCredentialsOptions options; // gRPC frees them with the credentials alone
    if (!settings.ca_file.empty() || !settings.cert_file.empty()) {
        options.set_certificate_provider(std::make_shared<grpc::experimental::FileWatcherCertificateProvider>(
            settings.key_file, settings.cert_file, settings.ca_file, certificates_read_s));
    }
    if (!settings.ca_file.empty()) {
        options.watch_root_certs();
    }
    if (!settings.cert_file.empty()) {
        options.watch_identity_key_cert_pairs();
    }
    return grpc::experimental::TlsCredentials(options);
}

} // namespace


result<member_address> parse_member_address(std::string_view url)
{
    using failed = result<member_address>;
    const std::string named = '"' + clean_text(url, 200) + '"';
    member_address made;
    std::string rest;
    std::ranges::transform(url, std::back_inserter(rest),
                           [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    const std::size_t scheme = rest.starts_with("https://") ? 8 : rest.starts_with("http://") ? 7 : 0;
    if (scheme == 0) {
        return failed::failure(named + " does not begin with https:// or http://");
    }
    made.is_tls = scheme == 8;
    rest.erase(0, scheme);
    if (rest.ends_with('/')) {
        rest.pop_back();
    }

    const bool in_brackets = rest.starts_with('[') && rest.find(']') != rest.npos; // else no character of a host
    const auto end = in_brackets ? rest.find(']') : rest.find(':');
    const std::string host = rest.substr(in_brackets ? 1 : 0, in_brackets ? end - 1 : end);
    std::string port = end == rest.npos ? "" : rest.substr(in_brackets ? end + 1 : end);
    if (port.empty()) {
        port = ":2379"; // the one that IANA has for etcd's clients
    }
    unsigned number = 0;
    const auto read = std::from_chars(port.data() + 1, port.data() + port.size(), number);
    if (!is_host(host, in_brackets) || port.front() != ':' || read.ec != std::errc() ||
        read.ptr != port.data() + port.size() || number < 1 || number > 65535) {
        return failed::failure(named + " is not a URL of a host and a port, such as https://10.0.0.1:2379");
    }
    made.target = (in_brackets ? '[' + host + ']' : host) + ':' + std::to_string(number);
    made.url = (made.is_tls ? "https://" : "http://") + made.target;
    made.is_loopback = leads_to_this_machine(host);
    return made;
}


std::string check_access(const access_settings &settings)
{
    if (settings.endpoints.empty()) {
        return "endpoints: name at least one member of the cluster, such as https://10.0.0.1:2379";
    }
    for (const std::string &url : settings.endpoints) {
        const auto member = parse_member_address(url);
        if (!member) {
            return "endpoints: " + member.sentence();
        }
        if (!member->is_tls && !member->is_loopback && !settings.insecure) {
            return "endpoints: " + member->url +
                   " is plain text to another machine: use https://, or set \"insecure\" to true";
        }
    }
    if (settings.cert_file.empty() != settings.key_file.empty()) {
        return settings.cert_file.empty() ? "key_file: also name its certificate, \"cert_file\""
                                          : "cert_file: also name its key, \"key_file\"";
    }
    if (settings.user.empty() != settings.password.empty()) {
        return settings.user.empty() ? "password: also name its user, \"user\""
                                     : "user: also give its password, \"password\"";
    }
    return {};
}


result<std::shared_ptr<const access>> access::open(access_settings settings)
{
    using failed = result<std::shared_ptr<const access>>;
    if (auto fault = check_access(settings); !fault.empty()) {
        return failed::failure(std::move(fault));
    }
    const std::shared_ptr<access> made(new access);
    for (const std::string &url : settings.endpoints) {
        made->members_.push_back(*parse_member_address(url));
    }
    made->states_ = std::make_unique<std::vector<member_state>>(made->members_.size());
    made->first_ = fnv1a().add(settings.host).value() % made->members_.size();

    using file = std::pair<std::string_view, const std::string &>;
    for (const auto &[member, path] : {file("ca_file", settings.ca_file), file("cert_file", settings.cert_file),
                                       file("key_file", settings.key_file)}) {
        if (auto fault = path.empty() ? std::string() : unreadable(member, path); !fault.empty()) {
            return failed::failure(std::move(fault));
        }
    }
    use_rpc();
    const auto is_tls = [](const member_address &member) { return member.is_tls; };
    if (std::ranges::any_of(made->members_, is_tls)) {
        made->tls_ = tls_credentials(settings);
    }
    made->plain_ = grpc::InsecureChannelCredentials();
    made->settings_ = std::move(settings);
    return std::shared_ptr<const access>(made);
}


std::string access::fault_of_files(std::int64_t wall_us) const
{
    return fault_of({settings_.ca_file, settings_.cert_file, settings_.key_file}, wall_us);
}


bool access::note(std::size_t member, const member_state &now) const
{
    return std::exchange((*states_)[member], now) != now;
}


bool access::note_use(std::size_t member) const
{
    return note(member, {.is_known = true, .is_used = true});
}


bool access::note_failure(std::size_t member, failure::cause why) const
{
    return note(member, {.is_known = true, .why = why});
}


std::shared_ptr<grpc::Channel> access::channel_to(std::size_t member) const
{
    const member_address &to = members_[member];
    return grpc::CreateCustomChannel("dns:///" + to.target, to.is_tls ? tls_ : plain_, arguments_of_channels());
}

} // namespace rollout::etcd
