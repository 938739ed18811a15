// Blue or green: by chance, by key, by preview.
#include "tests/unit/cmocka.hpp"
#include "tests/unit/module/tables/chosen_route.hpp"

#include <cmath>
#include <vector>

namespace {

using rollout::routing_bucket;
using rollout::routing_buckets;

constexpr char blue[] = "blue 1 upstream-1 model__r1";
constexpr char green[] = "green 2 upstream-2 model__r2";
constexpr int keys = 20000;

std::string key_number(int i)
{
    return "user-" + std::to_string(i);
}

void by_chance_green_takes_the_numbers_below_its_weight(void **)
{
    assert_int_equal(routing_buckets, 10000);
    own_routes own;
    for (const unsigned weight : {0u, 1u, 5u, 50u, 99u, 100u}) {
        own.table.put(split_route("m", weight));
        unsigned to_green = 0;
        for (unsigned chance = 0; chance < routing_buckets; ++chance) {
            const std::string choice = own.choose({"m", "", "", false, chance});
            assert_text(choice, chance < weight * 100 ? green : blue);
            to_green += choice == green;
        }
        assert_int_equal(to_green, weight * 100);
    }
}

void no_key_reaches_green_at_0_and_every_key_at_100(void **)
{
    own_routes own;
    own.table.put(split_route("m", 0));
    for (int i = 0; i < keys; ++i) {
        assert_false(own.is_green("m", key_number(i)));
    }
    own.table.put(split_route("m", 100));
    for (int i = 0; i < keys; ++i) {
        assert_true(own.is_green("m", key_number(i)));
    }
}

void greens_share_of_the_keys_is_its_weight(void **)
{
    own_routes own;
    for (const unsigned weight : {1u, 5u, 25u, 50u, 75u, 95u, 99u}) {
        own.table.put(split_route("m", weight));
        int to_green = 0;
        for (int i = 0; i < keys; ++i) {
            to_green += own.is_green("m", key_number(i));
        }
        const double share = weight / 100.0;
        const double deviation = std::sqrt(keys * share * (1 - share));
        assert_true(std::abs(to_green - keys * share) < 4 * deviation);
    }
}

void a_key_keeps_its_slot_while_the_weight_stands(void **)
{
    own_routes own;
    own.table.put(split_route("m", 50));
    for (int i = 0; i < 500; ++i) {
        const std::string choice = own.choose({"m", "", key_number(i), false, 0});
        // The random number has no say, nor has a route that is put again.
        assert_text(own.choose({"m", "", key_number(i), false, routing_buckets - 1}), choice);
        own.table.put(split_route("m", 50));
        assert_text(own.choose({"m", "", key_number(i), false, 17}), choice);
    }
}

void a_growing_weight_only_moves_keys_from_blue_to_green(void **)
{
    own_routes own;
    std::vector<bool> was_green(2000, false);
    for (unsigned weight = 0; weight <= 100; ++weight) {
        own.table.put(split_route("m", weight));
        for (int i = 0; i < 2000; ++i) {
            const bool now = own.is_green("m", key_number(i));
            assert_true(now || !was_green[static_cast<std::size_t>(i)]);
            was_green[static_cast<std::size_t>(i)] = now;
        }
    }
}

void a_key_has_the_same_slot_in_every_part_of_a_model(void **)
{
    own_routes own;
    own.table.put(split_route("m", 50, "query"));
    own.table.put(split_route("m", 50, "items"));
    for (int i = 0; i < 500; ++i) {
        assert_text(own.choose({"m", "query", key_number(i), false, 0}),
                    own.choose({"m", "items", key_number(i), false, 0}));
    }
}

void the_places_of_keys_are_spread_evenly(void **)
{
    for (const auto &prefix : {std::string("user-"), std::string(""), std::string(100, 'x')}) {
        std::vector<int> counts(20, 0);
        for (int i = 0; i < keys; ++i) {
            ++counts[routing_bucket(prefix + std::to_string(i), "m", 2) / (routing_buckets / 20)];
        }
        double chi_square = 0;
        for (const int count : counts) {
            chi_square += (count - keys / 20.0) * (count - keys / 20.0) / (keys / 20.0);
        }
        assert_true(chi_square < 43.8); // one in a thousand, 19 degrees of freedom
    }
}

void neighbouring_keys_are_not_placed_together(void **)
{
    int near = 0;
    for (int i = 0; i < keys; ++i) {
        const int one = static_cast<int>(routing_bucket(key_number(i), "m", 2));
        const int next = static_cast<int>(routing_bucket(key_number(i + 1), "m", 2));
        near += std::abs(one - next) < static_cast<int>(routing_buckets) / 100;
    }
    // About two in a hundred are, give or take four deviations.
    assert_true(near > keys / 50 - 80 && near < keys / 50 + 80);
}

void other_keys_come_first_in_another_rollout_and_for_another_model(void **)
{
    int in_both_rollouts = 0;
    int in_both_models = 0;
    for (int i = 0; i < keys; ++i) {
        const bool first = routing_bucket(key_number(i), "m", 2) < routing_buckets / 10;
        in_both_rollouts += first && routing_bucket(key_number(i), "m", 3) < routing_buckets / 10;
        in_both_models += first && routing_bucket(key_number(i), "n", 2) < routing_buckets / 10;
    }
    // A tenth of a tenth, give or take four deviations.
    for (const int both : {in_both_rollouts, in_both_models}) {
        assert_true(both > keys / 100 - 57 && both < keys / 100 + 57);
    }
}

void any_bytes_make_a_key(void **)
{
    own_routes own;
    own.table.put(split_route("m", 50));
    for (const std::string &key :
         {std::string(1, '\0'), std::string("\xFF\xFE"), std::string(100000, 'k'), std::string(" ")}) {
        const std::string choice = own.choose({"m", "", key, false, 0});
        assert_true(choice == blue || choice == green);
        assert_true(routing_bucket(key, "m", 2) < routing_buckets);
    }
    assert_true(routing_bucket("a", "m", 2) != routing_bucket(std::string_view("a\0", 2), "m", 2));
}

void a_preview_reaches_green_before_any_traffic(void **)
{
    own_routes own;
    own.table.put(split_route("m", 0));
    assert_text(own.choose({"m", "", "", true, routing_buckets - 1}), green);
    assert_text(own.choose({"m", "", "user", true, 0}), green);
    assert_text(own.choose({"m", "", "user", false, 0}), blue);
}

void without_green_all_goes_to_blue(void **)
{
    own_routes own;
    own.table.put({"m", "", target_number(1), {}, 100});
    for (const bool preview : {false, true}) {
        assert_text(own.choose({"m", "", "", preview, 0}), blue);
        assert_text(own.choose({"m", "", "user", preview, 0}), blue);
    }
}

void without_blue_all_goes_to_green(void **)
{
    own_routes own;
    own.table.put({"m", "", {}, target_number(2), 0});
    for (const bool preview : {false, true}) {
        assert_text(own.choose({"m", "", "", preview, routing_buckets - 1}), green);
        assert_text(own.choose({"m", "", "user", preview, 0}), green);
    }
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(by_chance_green_takes_the_numbers_below_its_weight),
        cmocka_unit_test(no_key_reaches_green_at_0_and_every_key_at_100),
        cmocka_unit_test(greens_share_of_the_keys_is_its_weight),
        cmocka_unit_test(a_key_keeps_its_slot_while_the_weight_stands),
        cmocka_unit_test(a_growing_weight_only_moves_keys_from_blue_to_green),
        cmocka_unit_test(a_key_has_the_same_slot_in_every_part_of_a_model),
        cmocka_unit_test(the_places_of_keys_are_spread_evenly),
        cmocka_unit_test(neighbouring_keys_are_not_placed_together),
        cmocka_unit_test(other_keys_come_first_in_another_rollout_and_for_another_model),
        cmocka_unit_test(any_bytes_make_a_key),
        cmocka_unit_test(a_preview_reaches_green_before_any_traffic),
        cmocka_unit_test(without_green_all_goes_to_blue),
        cmocka_unit_test(without_blue_all_goes_to_green),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
