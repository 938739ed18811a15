#include "worker/etcd/failure.hpp"

#include "worker/base/format.hpp"

#include <array>

namespace rollout::etcd {

namespace {

// The codes of gRPC that need a decision; of the others only the text is of use.
enum : int {
    code_canceled = 1,
    code_unknown = 2,
    code_deadline_exceeded = 4,
    code_aborted = 10,
    code_unimplemented = 12,
    code_internal = 13,
    code_unavailable = 14,
};

constexpr std::size_t longest_words = 300;

bool has(std::string_view text, std::string_view part)
{
    return text.find(part) != std::string_view::npos;
}


/// A sentence of etcd's, of which all releases have the same beginning.
struct known_error {
    std::string_view text;
    failure::cause because;
    std::string_view what_to_do;
    failure::kind is = failure::kind::refused;
    bool member_fails = false;
    bool token_fails = false;
};

using cause = failure::cause;
using kind = failure::kind;

constexpr std::array known_errors{
    known_error{"no leader", cause::no_leader, "the member is cut off from the others, or they elect one",
                kind::unavailable, true},
    known_error{"not leader", cause::no_leader, "the members elect a leader", kind::unavailable, true},
    known_error{"rpc not supported for learner", cause::no_leader,
                "the member is a learner: name members that vote in \"endpoints\"", kind::unavailable, true},
    known_error{"too many requests", cause::overloaded, "its disk or its processors are too slow for the load",
                kind::unavailable},
    known_error{"request is too large", cause::too_large,
                "etcd's --max-request-bytes bounds a request, by default to 1.5 MiB"},
    known_error{"grpc: received message larger than max", cause::too_large,
                "etcd's --max-request-bytes bounds a request, by default to 1.5 MiB"},
    known_error{"too many operations in txn request", cause::too_many_operations,
                "etcd's --max-txn-ops bounds a transaction, by default to 128 operations"},
    known_error{"duplicate key given in txn request", cause::duplicate_key, "a transaction puts a key once at most"},
    known_error{"database space exceeded", cause::no_space, remedy_without_space},
    known_error{"required revision has been compacted", cause::compacted,
                "etcd does not keep that revision any more: read the present state"},
    known_error{"required revision is a future revision", cause::future_revision,
                "the member lags behind the others, or etcd was restored from an older copy"},
    known_error{"requested lease not found", cause::lease_not_found, "it has ended or was revoked"},
    known_error{"authentication failed, invalid user ID or password", cause::bad_user,
                "correct \"user\" and \"password\""},
    known_error{
        "user name is empty", cause::user_needed,
        "etcd's authentication is on: set \"user\" and \"password\", or a certificate with the user's name as "
        "its CN"},
    known_error{"invalid auth token", cause::token_expired, "", kind::unavailable, false, true},
    known_error{"revision of auth store is old", cause::token_expired, "", kind::unavailable, false, true},
    known_error{"permission denied", cause::denied, "give the user a role with readwrite on the prefix"},
};


std::string at_member(const call_facts &call)
{
    return "etcd at " + std::string(call.member);
}


failure refusal_of(const known_error &known, std::string_view message, const call_facts &call)
{
    std::string sentence = at_member(call) + " answers \"" + clean_text(message, longest_words) + '"';
    if (known.because == cause::bad_user || known.because == cause::denied) {
        sentence += call.user.empty() ? "" : " to the user \"" + std::string(call.user) + '"';
    }
    if (!known.what_to_do.empty()) {
        sentence += ": " + std::string(known.what_to_do);
    }
    return {known.is, known.because, std::move(sentence)};
}


/// What gRPC says of a connection that there is none, in the last of its words.
std::string_view last_error(std::string_view message)
{
    constexpr std::string_view mark = "last error: ";
    const auto at = message.rfind(mark);
    std::string_view last = at == std::string_view::npos ? message : message.substr(at + mark.size());
    for (const std::string_view prefix : {"UNKNOWN: ", "UNAVAILABLE: ", "INTERNAL: "}) {
        if (last.starts_with(prefix)) {
            last.remove_prefix(prefix.size());
        }
    }
    return last;
}


/// What gRPC says of a connection that was made and has ended: in TLS 1.3, a member that does not take the client's
/// certificate ends it after the handshake.
bool is_broken_connection(std::string_view words)
{
    return has(words, "Socket closed") || has(words, "Connection reset") || has(words, "Broken pipe") ||
           has(words, "connection attempt timed out before receiving SETTINGS");
}


failure broken(std::string_view message, const call_facts &call, kind is)
{
    const std::string words = clean_text(last_error(message), longest_words);
    if (message.starts_with("etcdserver: ")) {
        return {is, has(message, "leader changed") ? cause::no_leader : cause::other,
                at_member(call) + " answers \"" + words + '"'};
    }
    if (has(message, "CERTIFICATE_VERIFY_FAILED") || has(message, "certificate verify failed")) {
        return {is, cause::certificate,
                at_member(call) + " shows a certificate that no authority of \"ca_file\" has signed (" + words + ')'};
    }
    if (has(message, "Peer name") || has(message, "Hostname Verification Check failed") ||
        has(message, "Custom verification check failed")) {
        return {is, cause::certificate,
                at_member(call) + " shows a certificate that is not for that address (" + words +
                    "): name the member as its certificate does"};
    }
    if (has(message, "handshake failed") || has(message, "handshaker") || has(message, "alert ") ||
        has(message, "Handshake read failed")) {
        return {is, cause::certificate,
                at_member(call) + " does not complete the TLS handshake (" + words +
                    "): check the scheme of its URL, and that its authority has signed \"cert_file\""};
    }
    if (call.member.starts_with("https://") && is_broken_connection(words)) {
        return {is, cause::unreachable,
                at_member(call) + " ended the connection (" + words +
                    "): if it demands certificates (--client-cert-auth), check that an authority of its "
                    "--trusted-ca-file has signed \"cert_file\""};
    }
    return {is, cause::unreachable,
            at_member(call) + " cannot be reached (" + words + "): check that it runs, and \"endpoints\""};
}

} // namespace


std::string_view name_of(failure::kind of) noexcept
{
    switch (of) {
    case kind::refused:
        return "refused";
    case kind::unavailable:
        return "unavailable";
    case kind::unknown:
        return "unknown";
    }
    return "";
}


std::string_view name_of(failure::cause of) noexcept
{
    switch (of) {
    case cause::unreachable:
        return "unreachable";
    case cause::timed_out:
        return "timed_out";
    case cause::no_leader:
        return "no_leader";
    case cause::overloaded:
        return "overloaded";
    case cause::certificate:
        return "certificate";
    case cause::bad_user:
        return "bad_user";
    case cause::user_needed:
        return "user_needed";
    case cause::denied:
        return "denied";
    case cause::token_expired:
        return "token_expired";
    case cause::too_large:
        return "too_large";
    case cause::too_many_operations:
        return "too_many_operations";
    case cause::duplicate_key:
        return "duplicate_key";
    case cause::no_space:
        return "no_space";
    case cause::compacted:
        return "compacted";
    case cause::future_revision:
        return "future_revision";
    case cause::lease_not_found:
        return "lease_not_found";
    case cause::canceled:
        return "canceled";
    case cause::other:
        return "other";
    }
    return "";
}


verdict judge(int code, std::string_view message, const call_facts &call)
{
    for (const known_error &known : known_errors) {
        if (has(message, known.text)) {
            return {refusal_of(known, message, call), known.member_fails, known.token_fails};
        }
    }
    const kind lost = call.changes ? kind::unknown : kind::unavailable;
    // gRPC says this of a call that has never left: it had no connection.
    if (has(message, "failed to connect to all addresses")) {
        return {broken(message, call, kind::unavailable), true};
    }
    if (code == code_deadline_exceeded || has(message, "request timed out")) {
        return {{lost, cause::timed_out,
                 at_member(call) + (code == code_deadline_exceeded
                                        ? " does not answer within " + format_duration(call.timeout) +
                                              ": check that it is not overloaded, and the network to it"
                                        : " answers \"" + clean_text(message, longest_words) + '"')},
                true};
    }
    if (has(message, "Received message larger than max")) {
        return {{call.changes ? kind::unknown : kind::refused, cause::too_large,
                 at_member(call) + " sends an answer that is too large (" + clean_text(message, longest_words) +
                     "): ask for less at a time"}};
    }
    switch (code) {
    case code_canceled:
    case code_unknown:
    case code_aborted:
    case code_internal:
    case code_unavailable:
        return {broken(message, call, lost), true};
    case code_unimplemented:
        return {{kind::refused, cause::other,
                 at_member(call) + " does not know this call (" + clean_text(message, longest_words) +
                     "): check that this is etcd 3.4 or later, and \"endpoints\""}};
    default:
        return {{kind::refused, cause::other,
                 at_member(call) + " answers \"" + clean_text(message, longest_words) + '"'}};
    }
}

} // namespace rollout::etcd
