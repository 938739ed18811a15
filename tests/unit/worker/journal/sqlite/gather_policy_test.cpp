#include "tests/unit/cmocka.hpp"
#include "worker/journal/sqlite/gather_policy.hpp"

namespace {

using namespace std::chrono_literals;
using rollout::gather_policy;

void a_few_writes_are_committed_at_once(void **)
{
    gather_policy policy;
    assert_int_equal(policy.wanted(), 1);
    for (std::size_t writes = 1; writes < 16; ++writes) {
        policy.note(writes, 500us);
        assert_int_equal(policy.wanted(), 1);
    }
}

void after_many_writes_as_many_are_waited_for(void **)
{
    gather_policy policy;
    policy.note(16, 500us);
    assert_int_equal(policy.wanted(), 16);
    policy.note(96, 500us);
    assert_int_equal(policy.wanted(), 96);
    policy.note(3, 500us);
    assert_int_equal(policy.wanted(), 1);
}

void the_wait_is_at_most_half_of_the_last_commit(void **)
{
    gather_policy policy;
    policy.note(30, 600us);
    assert_true(policy.longest_wait() == 300us);
    policy.note(30, 3s); // the disk stood still
    assert_true(policy.longest_wait() == 5ms);

    gather_policy patient(20ms);
    patient.note(30, 30ms);
    assert_true(patient.longest_wait() == 15ms);
    patient.note(30, 3s);
    assert_true(patient.longest_wait() == 20ms);
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(a_few_writes_are_committed_at_once),
        cmocka_unit_test(after_many_writes_as_many_are_waited_for),
        cmocka_unit_test(the_wait_is_at_most_half_of_the_last_commit),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
