#include "worker/etcd/failure.hpp"

#include "tests/unit/cmocka.hpp"

#include <string>

namespace {

using namespace rollout::etcd;
using namespace std::chrono_literals;

const call_facts reading{"https://10.0.0.1:2379", "gateway", 2s, false};
const call_facts changing{"https://10.0.0.1:2379", "gateway", 2s, true};

/// `kind cause`, with `member` or `token` if that is at fault.
std::string judged(int code, const char *message, const call_facts &call = changing)
{
    const verdict of = judge(code, message, call);
    return std::string(name_of(of.why.is)) + ' ' + std::string(name_of(of.why.because)) +
           (of.member_fails ? " member" : "") + (of.token_fails ? " token" : "");
}


std::string sentence(int code, const char *message, const call_facts &call = changing)
{
    return judge(code, message, call).why.sentence;
}


void what_etcd_refuses_was_not_done(void **)
{
    assert_text(judged(3, "etcdserver: request is too large"), "refused too_large");
    assert_text(judged(8, "grpc: received message larger than max (2097173 vs. 2097152)"), "refused too_large");
    assert_text(judged(3, "etcdserver: too many operations in txn request"), "refused too_many_operations");
    assert_text(judged(3, "etcdserver: duplicate key given in txn request"), "refused duplicate_key");
    assert_text(judged(8, "etcdserver: mvcc: database space exceeded"), "refused no_space");
    assert_text(judged(11, "etcdserver: mvcc: required revision has been compacted"), "refused compacted");
    assert_text(judged(11, "etcdserver: mvcc: required revision is a future revision"), "refused future_revision");
    assert_text(judged(5, "etcdserver: requested lease not found"), "refused lease_not_found");
    assert_text(judged(3, "etcdserver: authentication failed, invalid user ID or password"), "refused bad_user");
    assert_text(judged(3, "etcdserver: user name is empty"), "refused user_needed");
    assert_text(judged(7, "etcdserver: permission denied"), "refused denied");
    assert_text(judged(3, "etcdserver: key is not provided"), "refused other");
    assert_text(judged(15, "etcdserver: corrupt cluster"), "refused other");
    assert_text(judged(12, "unknown service etcdserverpb.KV"), "refused other");
}


void what_never_left_or_was_turned_away_was_not_done_and_may_pass(void **)
{
    assert_text(judged(14, "etcdserver: no leader"), "unavailable no_leader member");
    assert_text(judged(14, "etcdserver: rpc not supported for learner"), "unavailable no_leader member");
    assert_text(judged(8, "etcdserver: too many requests"), "unavailable overloaded");
    assert_text(judged(16, "etcdserver: invalid auth token"), "unavailable token_expired token");
    assert_text(judged(3, "etcdserver: revision of auth store is old"), "unavailable token_expired token");
    assert_text(
        judged(14, "failed to connect to all addresses; last error: UNKNOWN: ipv4:10.0.0.1:2379: Connection refused"),
        "unavailable unreachable member");
}


void a_change_without_an_answer_is_unknown_and_a_read_is_not(void **)
{
    assert_text(judged(4, "Deadline Exceeded"), "unknown timed_out member");
    assert_text(judged(4, "Deadline Exceeded", reading), "unavailable timed_out member");
    assert_text(judged(14, "etcdserver: request timed out, possibly due to previous leader failure"),
                "unknown timed_out member");
    assert_text(judged(14, "Socket closed"), "unknown unreachable member");
    assert_text(judged(14, "Socket closed", reading), "unavailable unreachable member");
    assert_text(judged(14, "etcdserver: leader changed"), "unknown no_leader member");
    assert_text(judged(14, "etcdserver: server stopped", reading), "unavailable other member");
    assert_text(judged(13, "Received RST_STREAM with error code 2"), "unknown unreachable member");
    assert_text(judged(8, "Received message larger than max (70000000 vs. 67108864)"), "unknown too_large");
    assert_text(judged(8, "Received message larger than max (70000000 vs. 67108864)", reading), "refused too_large");
}


void a_sentence_says_what_happened_to_what_and_what_to_do(void **)
{
    assert_text(
        sentence(8, "etcdserver: mvcc: database space exceeded"),
        "etcd at https://10.0.0.1:2379 answers \"etcdserver: mvcc: database space exceeded\": etcd's quota is used "
        "up, and it takes no writes: compact and defragment it, or raise its --quota-backend-bytes, then run "
        "etcdctl alarm disarm");
    assert_text(
        sentence(7, "etcdserver: permission denied"),
        "etcd at https://10.0.0.1:2379 answers \"etcdserver: permission denied\" to the user \"gateway\": give "
        "the user a role with readwrite on the prefix");
    assert_text(sentence(4, "Deadline Exceeded"),
                "etcd at https://10.0.0.1:2379 does not answer within 2 s: check that "
                "it is not overloaded, and the network to it");
    assert_text(
        sentence(14, "failed to connect to all addresses; last error: UNKNOWN: ipv4:10.0.0.1:2379: Failed to connect "
                     "to remote host: Connection refused"),
        "etcd at https://10.0.0.1:2379 cannot be reached (ipv4:10.0.0.1:2379: Failed to connect to remote host: "
        "Connection refused): check that it runs, and \"endpoints\"");
}


void a_member_that_ends_a_connection_by_tls_may_not_like_the_certificate(void **)
{
    for (const char *words : {"Socket closed", "recvmsg:Connection reset by peer", "Broken pipe"}) {
        assert_text(judged(14, words, reading), "unavailable unreachable member");
        assert_holds(sentence(14, words), "ended the connection (");
        assert_holds(sentence(14, words), "its --trusted-ca-file has signed \"cert_file\"");
        const call_facts plain{"http://10.0.0.1:2379", "", 2s, false};
        assert_holds(sentence(14, words, plain), "cannot be reached (");
    }
}


void a_certificate_that_does_not_fit_is_named(void **)
{
    const char *unsigned_one =
        "failed to connect to all addresses; last error: UNKNOWN: ipv4:10.0.0.1:2379: Ssl handshake "
        "failed: SSL_ERROR_SSL: error:0A000086:SSL routines::certificate verify failed";
    assert_text(judged(14, unsigned_one), "unavailable certificate member");
    assert_holds(sentence(14, unsigned_one), "shows a certificate that no authority of \"ca_file\" has signed");
    const char *other_name =
        "failed to connect to all addresses; last error: UNKNOWN: ipv4:10.0.0.1:2379: Custom "
        "verification check failed with error: UNAUTHENTICATED: Hostname Verification Check failed.";
    assert_text(judged(14, other_name), "unavailable certificate member");
    assert_holds(sentence(14, other_name), "shows a certificate that is not for that address");
}


void text_from_the_other_side_cannot_break_a_line(void **)
{
    assert_text(sentence(3, "etcdserver:\nforged"), "etcd at https://10.0.0.1:2379 answers \"etcdserver: forged\"");
    assert_true(sentence(3, std::string(5000, 'x').c_str()).size() < 500);
}

} // namespace


int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(what_etcd_refuses_was_not_done),
        cmocka_unit_test(what_never_left_or_was_turned_away_was_not_done_and_may_pass),
        cmocka_unit_test(a_change_without_an_answer_is_unknown_and_a_read_is_not),
        cmocka_unit_test(a_sentence_says_what_happened_to_what_and_what_to_do),
        cmocka_unit_test(a_member_that_ends_a_connection_by_tls_may_not_like_the_certificate),
        cmocka_unit_test(a_certificate_that_does_not_fit_is_named),
        cmocka_unit_test(text_from_the_other_side_cannot_break_a_line),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
