#include "common/base/timestamp.hpp"
#include "tests/unit/cmocka.hpp"

namespace {

constexpr std::int64_t noon_us = 1795536561000000; // 2026-11-24T16:09:21Z

void a_timestamp_is_rfc_3339_in_utc_with_microseconds(void **)
{
    assert_text(rollout::timestamp(1), "1970-01-01T00:00:00.000001Z");
    assert_text(rollout::timestamp(951782399999999), "2000-02-28T23:59:59.999999Z");
    assert_text(rollout::timestamp(951782400000000), "2000-02-29T00:00:00.000000Z");
    assert_text(rollout::timestamp(253402300799999999), "9999-12-31T23:59:59.999999Z");
}

void a_timestamp_is_read_back_to_the_microsecond(void **)
{
    for (const std::int64_t us : {std::int64_t{1}, noon_us, noon_us + 999999, std::int64_t{4102444799000001}}) {
        assert_int_equal(rollout::timestamp_us(rollout::timestamp(us)), us);
    }
    for (const char *text : {"", "yesterday", "2026-11-24", "2026-11-24T16:09:21Z", "-2147483648-1-1T0:0:0.0Z",
                             "2147483647-1-1T0:0:0.0Z", "2026-11-24T16:09:21.-00005Z", "1969-12-31T23:59:59.999999Z",
                             "9999-99-99T99:99:99.999999Z"}) {
        assert_int_equal(rollout::timestamp_us(text), 0);
    }
    assert_int_equal(rollout::timestamp_us(std::string(1000, '9')), 0);
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(a_timestamp_is_rfc_3339_in_utc_with_microseconds),
        cmocka_unit_test(a_timestamp_is_read_back_to_the_microsecond),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
