#include "worker/etcd/access.hpp"

#include "tests/unit/cmocka.hpp"
#include "tests/unit/test_loop.hpp"
#include "worker/etcd/messages.hpp"
#include "worker/os/signals.hpp"

#include <string>
#include <string_view>

namespace {

using namespace rollout::etcd;

/// `target`, with what else is known of it, or why there is none.
std::string parsed(std::string_view url)
{
    const auto made = parse_member_address(url);
    return made ? made->target + (made->is_tls ? " tls" : " plain") + (made->is_loopback ? " loopback" : "")
                : made.sentence();
}


void an_endpoint_is_a_scheme_a_host_and_a_port(void **)
{
    assert_text(parsed("https://10.0.0.1:2379"), "10.0.0.1:2379 tls");
    assert_text(parsed("HTTPS://Etcd-1.Example.com:2379/"), "etcd-1.example.com:2379 tls");
    assert_text(parsed("https://etcd"), "etcd:2379 tls");
    assert_text(parsed("https://[2001:db8::1]:12379"), "[2001:db8::1]:12379 tls");
    assert_text(parsed("https://[::1]"), "[::1]:2379 tls loopback");
    assert_text(parsed("http://localhost:2379"), "localhost:2379 plain loopback");
    assert_text(parsed("http://127.1.2.3:2379"), "127.1.2.3:2379 plain loopback");
    assert_text(parsed("http://10.0.0.1:2379"), "10.0.0.1:2379 plain");
}


void anything_else_is_refused_with_its_text(void **)
{
    assert_text(parsed("10.0.0.1:2379"), "\"10.0.0.1:2379\" does not begin with https:// or http://");
    for (const char *url : {"https://", "https://:2379", "https://a:", "https://a:0", "https://a:65536",
                            "https://a:23x", "https://a:1:2", "https://a/b", "https://u:p@a:1", "https://[::1",
                            "https://[x]:1", "https://[::1]2379", "https://a b", "https://a:2379?x"}) {
        assert_text(parsed(url),
                    '"' + std::string(url) + "\" is not a URL of a host and a port, such as https://10.0.0.1:2379");
    }
}


void plain_text_goes_to_this_machine_alone_unless_it_is_allowed(void **)
{
    access_settings settings{.endpoints = {"http://127.0.0.1:2379", "http://[::1]:2379"}};
    assert_text(check_access(settings), "");
    settings.endpoints.emplace_back("http://10.0.0.1:2379");
    assert_text(check_access(settings),
                "endpoints: http://10.0.0.1:2379 is plain text to another machine: use https://, "
                "or set \"insecure\" to true");
    settings.insecure = true;
    assert_text(check_access(settings), "");
}


void what_goes_together_must_be_there_together(void **)
{
    access_settings settings;
    assert_text(check_access(settings),
                "endpoints: name at least one member of the cluster, such as https://10.0.0.1:2379");
    settings.endpoints = {"https://10.0.0.1"};
    settings.cert_file = "/c.pem";
    assert_text(check_access(settings), "cert_file: also name its key, \"key_file\"");
    settings.key_file = "/k.pem";
    settings.user = "gateway";
    assert_text(check_access(settings), "user: also give its password, \"password\"");
    settings.user.clear();
    settings.password = "secret";
    assert_text(check_access(settings), "password: also name its user, \"user\"");
}


void a_file_that_cannot_be_read_is_named(void **)
{
    const auto opened = access::open({.endpoints = {"https://10.0.0.1"}, .ca_file = "/nonexistent/ca.pem"});
    assert_false(static_cast<bool>(opened));
    assert_text(opened.sentence(), "ca_file: /nonexistent/ca.pem cannot be read (No such file or directory)");
}


void each_host_begins_with_the_same_endpoint_and_not_all_with_one(void **)
{
    bool used[3] = {};
    for (const char *host : {"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"}) {
        access_settings settings{.endpoints = {"http://127.0.0.1:1", "http://127.0.0.1:2", "http://127.0.0.1:3"},
                                 .host = host};
        const auto first = (*access::open(settings))->first_member();
        assert_int_equal((*access::open(settings))->first_member(), first);
        used[first] = true;
    }
    assert_true(used[0] && used[1] && used[2]);
}


void the_end_of_a_prefix_is_the_next_key_behind_it(void **)
{
    assert_text(end_of_prefix("/rollout/"), "/rollout0");
    assert_text(end_of_prefix("a\xff\xff"), "b");
    assert_true(end_of_prefix("\xff") == std::string(1, '\0'));
    assert_true(end_of_prefix("") == std::string(1, '\0'));
}

} // namespace


int main()
{
    test_loop loop;
    rollout::signal_catcher signals(loop.get());
    signals.start([](int) {});
    const CMUnitTest tests[] = {
        cmocka_unit_test(an_endpoint_is_a_scheme_a_host_and_a_port),
        cmocka_unit_test(anything_else_is_refused_with_its_text),
        cmocka_unit_test(plain_text_goes_to_this_machine_alone_unless_it_is_allowed),
        cmocka_unit_test(what_goes_together_must_be_there_together),
        cmocka_unit_test(a_file_that_cannot_be_read_is_named),
        cmocka_unit_test(each_host_begins_with_the_same_endpoint_and_not_all_with_one),
        cmocka_unit_test(the_end_of_a_prefix_is_the_next_key_behind_it),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
