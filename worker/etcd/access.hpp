// How the cluster is reached: its endpoints, certificates, and the user. Made once from the configuration, and shared by all
// connections.
#pragma once

#include "worker/async/outcome.hpp"
#include "worker/etcd/failure.hpp"

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace grpc {
class Channel;
class ChannelCredentials;
} // namespace grpc

namespace rollout::etcd {

struct access_settings {
    std::vector<std::string> endpoints{}; ///< `https://10.0.0.1:2379`; port 2379 if there is none
    std::string ca_file{};                ///< empty: the system's authorities
    std::string cert_file{};              ///< with `key_file`, the client's own certificate
    std::string key_file{};
    std::string user{}; ///< with `password`; empty: none, or the certificate's CN
    std::string password{};
    bool insecure = false; ///< allows plain text to other machines
    std::string host{};    ///< this machine's name: each begins with another endpoint
};

struct member_address {
    std::string url;    ///< `https://10.0.0.1:2379`, lower-case, always with the port
    std::string target; ///< `10.0.0.1:2379`
    bool is_tls = false;
    bool is_loopback = false;
};

/// Parses an endpoint's URL.
result<member_address> parse_member_address(std::string_view url);

/// Returns why these settings cannot be used, with the member's name first; empty if they can. Reads no file.
std::string check_access(const access_settings &settings);

class access {
  public:
    /// Fails with a sentence: check_access(), or a file that cannot be read. The files are read again when they change, by
    /// a thread of gRPC's: a signal_catcher must have been started.
    static result<std::shared_ptr<const access>> open(access_settings settings);

    const std::vector<member_address> &members() const noexcept { return members_; }
    std::size_t first_member() const noexcept { return first_; }
    const std::string &host() const noexcept { return settings_.host; }
    const std::string &user() const noexcept { return settings_.user; }
    const std::string &password() const noexcept { return settings_.password; }

    /// Returns what is wrong with the certificates' files now, with the member's name first; empty if nothing is that can be
    /// seen here. `wall_us`: now, in microseconds since 1970, UTC.
    std::string fault_of_files(std::int64_t wall_us) const;

    /// Notes how a connection fares with a member: it is in use, or has failed for that cause. Returns whether that is news:
    /// of many connections one logs it. On the loop alone.
    bool note_use(std::size_t member) const;
    bool note_failure(std::size_t member, failure::cause why) const;

    /// Counts what was asked of etcd and failed, by cause: on the loop alone.
    void count(failure::cause why) const { ++(*failures_)[static_cast<std::size_t>(why)]; }
    using failure_counts = std::array<std::uint64_t, failure::causes>; ///< by failure::cause
    const failure_counts &failures() const noexcept { return *failures_; }

    /// Returns a connection of its own: channels share none. It connects with its first call.
    std::shared_ptr<grpc::Channel> channel_to(std::size_t member) const;

  private:
    /// What a connection has noted of a member: nothing yet, that it is in use, or why it failed.
    struct member_state {
        bool is_known = false;
        bool is_used = false;
        failure::cause why = failure::cause::other; ///< if it is known and not used

        bool operator==(const member_state &) const = default;
    };

    access() = default;
    bool note(std::size_t member, const member_state &now) const;

    access_settings settings_;
    std::vector<member_address> members_;
    std::size_t first_ = 0;
    std::shared_ptr<grpc::ChannelCredentials> tls_;
    std::shared_ptr<grpc::ChannelCredentials> plain_;
    std::unique_ptr<std::vector<member_state>> states_;                             ///< by member
    std::unique_ptr<failure_counts> failures_ = std::make_unique<failure_counts>(); ///< of all that have this access
};

} // namespace rollout::etcd
