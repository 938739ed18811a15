#include "worker/fleet/gateway_record.hpp"

#include "tests/unit/cmocka.hpp"

#include <string>

namespace {

using namespace rollout;

void a_record_reads_as_it_was_written(void **)
{
    gateway_record written{"h1", true, 1795536561000000, R"({"boot":"b","pids":[1]})", 1234567, {}};
    assert_true(parse_gateway_record(text_of(written)) == written);
    written.is_linked = false;
    written.busy = {{{"a", 1}, 3}, {{"a", 12}, std::nullopt}, {{"b.c-d", 7}, 1}};
    assert_true(parse_gateway_record(text_of(written)) == written);
    assert_string_equal(text_of({"h", true, 5, "", 9, {{{"m", 2}, 1}, {{"m", 3}, {}}}}).c_str(),
                        R"({"host":"h","linked":true,"since_us":5,"processes":"","followed":9,)"
                        R"("busy":{"m":{"2":1,"3":null}}})");
}


void what_a_newer_rolloutd_adds_is_passed_over(void **)
{
    const auto read = parse_gateway_record(
        R"({"more":{"x":[1]},"host":"h","linked":false,"since_us":1,"followed":2,"busy":{},"zone":7})");
    const gateway_record expected{"h", false, 1, "", 2, {}};
    assert_true(read == expected);
}


void a_damaged_record_is_none(void **)
{
    for (const char *text : {"", "x", "[]", "{}", R"({"host":"h"})",
                             // without a member, or with one that is another
                             R"({"linked":true,"since_us":1,"followed":2,"busy":{}})",
                             R"({"host":"","linked":true,"since_us":1,"followed":2,"busy":{}})",
                             R"({"host":"h","since_us":1,"followed":2,"busy":{}})",
                             R"({"host":"h","linked":1,"since_us":1,"followed":2,"busy":{}})",
                             R"({"host":"h","linked":true,"followed":2,"busy":{}})",
                             R"({"host":"h","linked":true,"since_us":-1,"followed":2,"busy":{}})",
                             R"({"host":"h","linked":true,"since_us":1,"busy":{}})",
                             R"({"host":"h","linked":true,"since_us":1,"followed":"2","busy":{}})",
                             R"({"host":"h","linked":true,"since_us":1,"followed":-2,"busy":{}})",
                             R"({"host":"h","linked":true,"since_us":1,"followed":2.0,"busy":{}})",
                             R"({"host":"h","linked":true,"since_us":1,"followed":2})",
                             R"({"host":"h","linked":true,"since_us":1,"followed":2,"busy":[]})",
                             R"({"host":"h","linked":true,"since_us":1,"followed":2,"busy":{"m":[]}})",
                             R"({"host":"h","linked":true,"since_us":1,"followed":2,"busy":{"/":{}}})",
                             R"({"host":"h","linked":true,"since_us":1,"followed":2,"busy":{"m":{"x":1}}})",
                             R"({"host":"h","linked":true,"since_us":1,"followed":2,"busy":{"m":{"0":1}}})",
                             R"({"host":"h","linked":true,"since_us":1,"followed":2,"busy":{"m":{"1x":1}}})",
                             R"({"host":"h","linked":true,"since_us":1,"followed":2,"busy":{"m":{"1":-1}}})",
                             R"({"host":"h","linked":true,"since_us":1,"followed":2,"busy":{"m":{"1":"1"}}})",
                             // of which nobody knows which one is meant
                             R"({"host":"h","linked":true,"since_us":1,"followed":2,"followed":3,"busy":{}})"}) {
        assert_false(parse_gateway_record(text).has_value());
    }
}

} // namespace


int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(a_record_reads_as_it_was_written),
        cmocka_unit_test(what_a_newer_rolloutd_adds_is_passed_over),
        cmocka_unit_test(a_damaged_record_is_none),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
