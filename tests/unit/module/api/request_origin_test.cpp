// Whose page a request comes from, as browsers say it.
#include "module/api/request_origin.hpp"
#include "tests/unit/cmocka.hpp"

namespace {

using rollout::is_own_origin;
using rollout::is_own_site;

void the_host_and_the_port_that_were_asked_for_are_the_own(void **)
{
    assert_true(is_own_origin("http://gw.example:8080", "gw.example:8080", false));
    assert_true(is_own_origin("HTTP://GW.Example:8080", "gw.example:8080", false));
    assert_true(is_own_origin("http://127.0.0.1:8080", "127.0.0.1:8080", false));
    assert_true(is_own_origin("http://localhost", "LOCALHOST", false));
}

void a_default_port_may_be_left_out_on_either_side(void **)
{
    assert_true(is_own_origin("http://gw.example:80", "gw.example", false));
    assert_true(is_own_origin("http://gw.example", "gw.example:80", false));
    assert_true(is_own_origin("https://gw.example:443", "gw.example", true));
    assert_true(is_own_origin("https://gw.example", "gw.example:443", true));
    assert_true(is_own_origin("http://gw.example", "gw.example:", false));
}

void tls_may_end_before_nginx(void **)
{
    assert_true(is_own_origin("https://gw.example", "gw.example", false));
    assert_true(is_own_origin("https://gw.example:8443", "gw.example:8443", false));
}

void another_port_is_another_origin(void **)
{
    assert_false(is_own_origin("http://gw.example:8080", "gw.example:8081", false));
    assert_false(is_own_origin("http://gw.example", "gw.example:8080", false));
    assert_false(is_own_origin("http://gw.example:8080", "gw.example", false));
    assert_false(is_own_origin("https://gw.example", "gw.example:80", false));
    assert_false(is_own_origin("http://gw.example", "gw.example", true));
    assert_false(is_own_origin("http://gw.example:443", "gw.example", false));
}

void another_host_is_another_origin(void **)
{
    for (const char *origin :
         {"https://evil.example", "http://gw.example.evil.example:8080", "http://evil-gw.example:8080",
          "http://gw.example.:8080", "http://example:8080", "http://[::1]:8080"}) {
        assert_false(is_own_origin(origin, "gw.example:8080", false));
    }
}

void an_ipv6_address_is_the_same_however_it_is_written(void **)
{
    assert_true(is_own_origin("http://[::1]:8080", "[::1]:8080", false));
    assert_true(is_own_origin("http://[::1]", "[0:0:0:0:0:0:0:1]", false));
    assert_true(is_own_origin("http://[2001:DB8::a]", "[2001:db8::A]:80", false));
    assert_false(is_own_origin("http://[::1]:8080", "[::2]:8080", false));
    assert_false(is_own_origin("http://[::1]:8080", "[::1]:8081", false));
    assert_false(is_own_origin("http://[::1]x", "[::1]x", false));
}

void what_is_no_origin_is_nobodys(void **)
{
    for (const char *origin :
         {"", "null", "NULL", "gw.example", "//gw.example", "http://", "http:gw.example", "file://",
          "chrome-extension://gw.example", "http://gw.example/", "http://gw.example/x", "http://user@gw.example",
          "http://gw.example:x", "http://gw.example:99999", "http://gw.example:-1", "http://[::1",
          "http://gw.example http://gw.example", "http://gw.example, http://gw.example"}) {
        assert_false(is_own_origin(origin, "gw.example", false));
    }
    assert_false(is_own_origin("http://gw.example", "", false));
    assert_false(is_own_origin("http://", "", false));
}

void fetch_metadata_is_taken_at_its_word(void **)
{
    assert_true(is_own_site("same-origin"));
    assert_true(is_own_site("none"));
    for (const char *site : {"cross-site", "same-site", "", "Same-Origin", "same-origin, cross-site", "something"}) {
        assert_false(is_own_site(site));
    }
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(the_host_and_the_port_that_were_asked_for_are_the_own),
        cmocka_unit_test(a_default_port_may_be_left_out_on_either_side),
        cmocka_unit_test(tls_may_end_before_nginx),
        cmocka_unit_test(another_port_is_another_origin),
        cmocka_unit_test(another_host_is_another_origin),
        cmocka_unit_test(an_ipv6_address_is_the_same_however_it_is_written),
        cmocka_unit_test(what_is_no_origin_is_nobodys),
        cmocka_unit_test(fetch_metadata_is_taken_at_its_word),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
