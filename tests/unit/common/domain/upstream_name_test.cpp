// Which upstreams nginx can go to by itself.
#include "common/domain/upstream_name.hpp"
#include "tests/unit/cmocka.hpp"

namespace {

using rollout::is_host_and_port;
using rollout::is_upstream_address;

void an_address_needs_nothing(void **)
{
    for (const char *upstream :
         {"127.0.0.1:8000", "10.0.0.1", "[::1]:8000", "[2001:db8::1]", "unix:/run/triton.sock"}) {
        assert_true(is_upstream_address(upstream));
        assert_false(is_host_and_port(upstream));
    }
}

void a_name_with_a_port_is_no_blocks(void **)
{
    for (const char *upstream : {"localhost:8000", "triton.svc.cluster.local:8000", "1.2.3:80", "inference:80"}) {
        assert_true(is_host_and_port(upstream));
        assert_false(is_upstream_address(upstream));
    }
}

void a_name_alone_may_be_a_blocks(void **)
{
    for (const char *upstream : {"inference", "triton.example", "a.b.c.d", "[broken", "[inference]"}) {
        assert_false(is_host_and_port(upstream));
        assert_false(is_upstream_address(upstream));
    }
}

void blocks_are_compared_without_case(void **)
{
    assert_text(rollout::upstream_key("Inference-A"), "inference-a");
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(an_address_needs_nothing),
        cmocka_unit_test(a_name_with_a_port_is_no_blocks),
        cmocka_unit_test(a_name_alone_may_be_a_blocks),
        cmocka_unit_test(blocks_are_compared_without_case),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
