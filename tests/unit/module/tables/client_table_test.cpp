// Which requests are evidence: failures of one client in a clump count once, those of a client that is the traffic always.
#include "module/tables/client_table.hpp"
#include "tests/unit/cmocka.hpp"

#include <memory>

namespace {

using namespace rollout;

constexpr std::uint64_t model = 1;
constexpr std::uint64_t other_model = 2;
constexpr std::uint64_t bad = 1000;

std::unique_ptr<client_table> make_table()
{
    return std::make_unique<client_table>();
}


/// One request each of nineteen other clients.
void others(client_table &table, std::uint32_t now_s, slot which = slot::green)
{
    for (std::uint64_t client = 1; client < 20; ++client) {
        assert_true(table.admit(model, client, which, now_s));
    }
}


void test_after_a_failure_a_client_is_left_out_for_ten_seconds_on_that_slot(void **)
{
    const auto table = make_table();
    others(*table, 100);
    assert_true(table->admit(model, bad, slot::green, 100));
    table->failed(model, bad, slot::green, 101);
    others(*table, 101);
    for (std::uint32_t now = 101; now < 111; ++now) {
        others(*table, now);
        assert_false(table->admit(model, bad, slot::green, now));
        assert_true(table->admit(model, 7, slot::green, now));
    }
    others(*table, 111);
    assert_true(table->admit(model, bad, slot::green, 111));
}


void test_the_other_slot_and_other_models_are_not_concerned(void **)
{
    const auto table = make_table();
    others(*table, 100);
    assert_true(table->admit(model, bad, slot::green, 100));
    table->failed(model, bad, slot::green, 100);
    others(*table, 100);
    assert_false(table->admit(model, bad, slot::green, 100));
    assert_true(table->admit(model, bad, slot::blue, 100));
    assert_true(table->admit(other_model, bad, slot::green, 100));
}


void test_blue_is_treated_as_green_is(void **)
{
    const auto table = make_table();
    others(*table, 100, slot::blue);
    assert_true(table->admit(model, bad, slot::blue, 100));
    table->failed(model, bad, slot::blue, 100);
    others(*table, 100, slot::blue);
    assert_false(table->admit(model, bad, slot::blue, 100));
    assert_true(table->admit(model, bad, slot::green, 100));
}


void test_a_client_that_is_a_fifth_of_the_traffic_counts_always(void **)
{
    const auto table = make_table();
    for (std::uint32_t round = 0; round < 50; ++round) {
        for (std::uint64_t client = 1; client <= 4; ++client) {
            assert_true(table->admit(model, client, slot::green, 100 + round));
        }
        assert_true(table->admit(model, bad, slot::green, 100 + round));
        table->failed(model, bad, slot::green, 100 + round);
    }
}


void test_a_lone_client_counts_always(void **)
{
    const auto table = make_table();
    for (std::uint32_t i = 0; i < 1000; ++i) {
        assert_true(table->admit(model, bad, slot::green, 100 + i / 10));
        table->failed(model, bad, slot::green, 100 + i / 10);
    }
}


void test_traffic_of_long_ago_is_forgotten(void **)
{
    const auto table = make_table();
    for (int i = 0; i < 100; ++i) {
        others(*table, 100);
    }
    assert_true(table->admit(model, bad, slot::green, 130)); // alone by now
    table->failed(model, bad, slot::green, 130);
    assert_true(table->admit(model, bad, slot::green, 131));
}


void test_many_clients_and_models_find_room(void **)
{
    const auto table = make_table();
    for (std::uint64_t i = 0; i < 100000; ++i) {
        assert_true(table->admit(i % 1000, i, slot::green, static_cast<std::uint32_t>(100 + i / 1000)));
    }
    table->failed(77, 777777, slot::green, 200); // nobody
    others(*table, 201);
    assert_true(table->admit(model, bad, slot::green, 201));
    table->failed(model, bad, slot::green, 201);
    others(*table, 201);
    assert_false(table->admit(model, bad, slot::green, 201));
}

} // namespace


int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(test_after_a_failure_a_client_is_left_out_for_ten_seconds_on_that_slot),
        cmocka_unit_test(test_the_other_slot_and_other_models_are_not_concerned),
        cmocka_unit_test(test_blue_is_treated_as_green_is),
        cmocka_unit_test(test_a_client_that_is_a_fifth_of_the_traffic_counts_always),
        cmocka_unit_test(test_a_lone_client_counts_always),
        cmocka_unit_test(test_traffic_of_long_ago_is_forgotten),
        cmocka_unit_test(test_many_clients_and_models_find_room),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
