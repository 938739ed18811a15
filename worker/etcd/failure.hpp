// Why a call of etcd has no answer, and whether it may have been carried out all the same.
#pragma once

#include <chrono>
#include <cstddef>
#include <string>
#include <string_view>

namespace rollout::etcd {

struct failure {
    enum class kind {
        refused,     ///< etcd said no: nothing was changed, and a repetition gets the same answer
        unavailable, ///< nobody could be asked, or answer: nothing was changed; may pass by itself
        unknown,     ///< a change without an answer: it may have been made, or be made later
    };

    enum class cause {
        unreachable,         ///< no connection, or it broke
        timed_out,           ///< no answer in time
        no_leader,           ///< the member has no leader, or cannot answer as a learner
        overloaded,          ///< etcd has too much to do
        certificate,         ///< the TLS handshake failed
        bad_user,            ///< wrong user or password
        user_needed,         ///< etcd's authentication is on, and the client has no user
        denied,              ///< the user's role does not allow it
        token_expired,       ///< the token of the user is not valid any more
        too_large,           ///< the request, or the answer
        too_many_operations, ///< in a transaction
        duplicate_key,       ///< put twice in a transaction
        no_space,            ///< etcd's quota is used up
        compacted,           ///< the revision is not kept any more
        future_revision,     ///< the member has not come to the revision yet
        lease_not_found,     ///< ended, or revoked
        canceled,            ///< by the caller
        other,               ///< the sentence has etcd's words; the last one
    };
    static constexpr std::size_t causes = static_cast<std::size_t>(cause::other) + 1;

    kind is = kind::refused;
    cause because = cause::other;
    std::string sentence; ///< what happened, to what, what to do

    bool operator==(const failure &) const = default;
};

/// Formats them for a test or a log: `refused`, `too_many_operations`.
std::string_view name_of(failure::kind kind) noexcept;
std::string_view name_of(failure::cause cause) noexcept;

/// What an operator does if etcd's quota is used up.
inline constexpr std::string_view remedy_without_space =
    "etcd's quota is used up, and it takes no writes: compact and defragment it, or raise its --quota-backend-bytes, "
    "then "
    "run etcdctl alarm disarm";

/// What the sentence needs to know of a call.
struct call_facts {
    std::string_view member; ///< `https://10.0.0.1:2379`
    std::string_view user;   ///< empty: none
    std::chrono::milliseconds timeout{0};
    bool changes = false; ///< something in etcd, so that it matters whether it was carried out
};

/// What a status of gRPC means.
struct verdict {
    failure why;
    bool member_fails = false; ///< another one may do better
    bool token_fails = false;  ///< a new one may do
};

/// Judges a status other than OK: its code (https://grpc.github.io/grpc/core/md_doc_statuscodes.html) and its text, which
/// is etcd's own or that of gRPC.
verdict judge(int code, std::string_view message, const call_facts &call);

} // namespace rollout::etcd
