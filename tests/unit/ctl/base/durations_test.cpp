// Durations and numbers as people write and read them.
#include "ctl/base/durations.hpp"
#include "ctl/base/numbers.hpp"
#include "tests/unit/cmocka.hpp"

namespace {

using std::chrono::milliseconds;

long long ms_of(std::string_view text)
{
    const auto read = rollout::ctl::read_duration(text);
    return read ? read->count() : -1;
}

void a_duration_has_a_unit_or_is_seconds(void **)
{
    assert_int_equal(ms_of("90"), 90000);
    assert_int_equal(ms_of("90s"), 90000);
    assert_int_equal(ms_of("10m"), 600000);
    assert_int_equal(ms_of("2h"), 7200000);
    assert_int_equal(ms_of("1d"), 86400000);
    assert_int_equal(ms_of("500ms"), 500);
    assert_int_equal(ms_of("0"), 0);
}

void what_is_no_duration_is_refused(void **)
{
    for (const char *text : {"", "s", "-1s", "1.5h", "10 m", "10x", "367d", "99999999999999999999", "1h30m"}) {
        assert_int_equal(ms_of(text), -1);
    }
}

void a_duration_is_written_with_two_units_at_most(void **)
{
    const auto text = [](long long ms) { return rollout::ctl::format_duration(milliseconds(ms)); };
    assert_text(text(-5), "0 s");
    assert_text(text(120), "0.1 s");
    assert_text(text(3000), "3 s");
    assert_text(text(3140), "3.1 s");
    assert_text(text(41999), "41 s");
    assert_text(text(79000), "1 min 19 s");
    assert_text(text(120000), "2 min");
    assert_text(text(7500000), "2 h 5 min");
    assert_text(text(273600000), "3 d 4 h");
}

void numbers_are_written_for_people(void **)
{
    assert_text(rollout::ctl::format_count(0), "0");
    assert_text(rollout::ctl::format_count(999), "999");
    assert_text(rollout::ctl::format_count(12431), "12,431");
    assert_text(rollout::ctl::format_count(1234567), "1,234,567");
    assert_text(rollout::ctl::format_percent(0.0002), "0.02 %");
    assert_text(rollout::ctl::format_number(1250.4), "1250");
    assert_text(rollout::ctl::format_number(8), "8");
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(a_duration_has_a_unit_or_is_seconds),
        cmocka_unit_test(what_is_no_duration_is_refused),
        cmocka_unit_test(a_duration_is_written_with_two_units_at_most),
        cmocka_unit_test(numbers_are_written_for_people),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
