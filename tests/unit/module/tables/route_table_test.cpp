// Which routes there are. Which slot one of them chooses is route_choice_test's.
#include "common/domain/limits.hpp"
#include "tests/unit/cmocka.hpp"
#include "tests/unit/module/tables/chosen_route.hpp"

#include <map>
#include <set>

namespace {

using rollout::route;
namespace limits = rollout::limits;

std::map<std::string, route> all_of(const rollout::route_table &table)
{
    std::map<std::string, route> routes;
    assert_true(table.each(
        [&routes](const route &one) { assert_true(routes.emplace(one.model_id + "/" + one.part, one).second); }));
    return routes;
}

void an_unknown_model_has_no_route(void **)
{
    own_routes own;
    assert_text(own.choose({"m", "", "", false, 0}), "(none)");
    own.table.put(split_route("m", 0));
    for (const std::string_view model : {std::string_view(""), std::string_view("M"), std::string_view("m "),
                                         std::string_view("mm"), std::string_view("m\0", 2)}) {
        assert_text(own.choose({model, "", "", false, 0}), "(none)");
    }
    assert_text(own.choose({"m", "query", "", false, 0}), "(none)");
}

void a_name_over_its_bound_is_unknown_whatever_there_is(void **)
{
    own_routes own;
    own.table.put(split_route(std::string(limits::model_id_bytes, 'm'), 0, std::string(limits::model_id_bytes, 'p')));
    own.table.put(split_route(std::string(limits::model_id_bytes, 'm'), 0));
    const std::string model(limits::model_id_bytes, 'm');
    const std::string part(limits::model_id_bytes, 'p');
    assert_holds(own.choose({model, part, "", false, 0}), "blue");
    assert_holds(own.choose({model, "", "", false, 0}), "blue");
    assert_text(own.choose({model + "m", "", "", false, 0}), "(none)");
    assert_text(own.choose({model, part + "p", "", false, 0}), "(none)");
    assert_text(own.choose({std::string(100000, 'm'), "", "", false, 0}), "(none)");
}

void each_part_has_its_own_route(void **)
{
    own_routes own;
    own.table.put({"m", "", target_number(1), {}, 0});
    own.table.put({"m", "query", target_number(2), {}, 0});
    own.table.put({"m", "items", target_number(3), {}, 0});
    own.table.put({"mquery", "", target_number(4), {}, 0});
    assert_text(own.choose({"m", "", "", false, 0}), "blue 1 upstream-1 model__r1");
    assert_text(own.choose({"m", "query", "", false, 0}), "blue 2 upstream-2 model__r2");
    assert_text(own.choose({"m", "items", "", false, 0}), "blue 3 upstream-3 model__r3");
    assert_text(own.choose({"mquery", "", "", false, 0}), "blue 4 upstream-4 model__r4");
    assert_int_equal(own.table.count(), 4);
}

void a_route_takes_the_place_of_the_one_before(void **)
{
    own_routes own;
    own.table.put(split_route("m", 100));
    own.table.put({"m", "", target_number(7), {}, 0});
    assert_text(own.choose({"m", "", "user", true, 0}), "blue 7 upstream-7 model__r7");
    assert_int_equal(own.table.count(), 1);
}

void a_removed_route_is_forgotten(void **)
{
    own_routes own;
    own.table.put(split_route("m", 50));
    own.table.put(split_route("m", 50, "query"));
    assert_true(own.table.put({"m", "", {}, {}, 0}));
    assert_text(own.choose({"m", "", "", false, 0}), "(none)");
    assert_holds(own.choose({"m", "query", "", false, 0}), "green");
    assert_true(own.table.put({"unknown", "", {}, {}, 0}));
    assert_int_equal(own.table.count(), 1);
}

void names_at_their_bounds_come_back_whole(void **)
{
    own_routes own;
    const rollout::route_target longest = {UINT64_MAX, std::string(limits::upstream_bytes, 'u'),
                                           std::string(limits::backend_model_bytes, 'm')};
    assert_true(own.table.put({"m", "", longest, longest, 50}));
    const std::string names = " 18446744073709551615 " + longest.upstream + " " + longest.model;
    assert_text(own.choose({"m", "", "", false, 0}), "green" + names);
    assert_text(own.choose({"m", "", "", false, 9999}), "blue" + names);
}

void a_full_set_drops_what_is_not_in_it(void **)
{
    // As the link does between `begin` and `end`: put what comes, then keep that alone.
    own_routes own;
    for (int i = 0; i < 100; ++i) {
        own.table.put(split_route("old-" + std::to_string(i), 0));
    }
    own.table.put(split_route("m", 0));
    own.table.put(split_route("m", 0, "query"));
    std::set<std::string> set;
    for (int i = 50; i < 60; ++i) {
        own.table.put(split_route("old-" + std::to_string(i), 100));
        set.insert("old-" + std::to_string(i) + "/");
        // Until the end all the others are in force.
        assert_holds(own.choose({"old-7", "", "", false, 0}), "blue");
    }
    own.table.put(split_route("m", 100, "query"));
    set.insert("m/query");
    own.table.retain([&set](std::string_view model_id, std::string_view part) {
        return set.contains(std::string(model_id) + "/" + std::string(part));
    });

    assert_int_equal(own.table.count(), 11);
    assert_text(own.choose({"m", "", "", false, 0}), "(none)");
    assert_text(own.choose({"old-7", "", "", false, 0}), "(none)");
    assert_holds(own.choose({"m", "query", "", false, 0}), "green");
    for (int i = 50; i < 60; ++i) {
        assert_holds(own.choose({"old-" + std::to_string(i), "", "", false, 0}), "green");
    }
}

void an_empty_full_set_drops_all(void **)
{
    own_routes own;
    for (int i = 0; i < 200; ++i) {
        own.table.put(split_route("m-" + std::to_string(i), 0));
    }
    own.table.retain([](std::string_view, std::string_view) { return false; });
    assert_int_equal(own.table.count(), 0);
    assert_int_equal(own.store.free_cells(), own.store.cells());
}

void each_route_is_visited_as_it_was_put(void **)
{
    own_routes own;
    std::map<std::string, route> expected;
    for (const route &one : {
             split_route("m", 0),
             split_route("m", 25, "query"),
             split_route("m.2", 100),
             route{"blue-only", "", target_number(3), {}, 0},
             route{"green-only", "items", {}, target_number(4), 100},
             route{"peers", "", rollout::route_target{1, "u", "m__r1", {{"a:1", "[::1]:2", "unix:/s"}}},
                   rollout::route_target{2, "u", "m__r2", std::vector<std::string>()}, 50},
         }) {
        assert_true(own.table.put(one));
        expected[one.model_id + "/" + one.part] = one;
    }
    assert_true(all_of(own.table) == expected);
}

void a_full_table_says_so_and_keeps_the_routes_in_force(void **)
{
    own_routes own;
    int routes = 0;
    while (own.table.put(split_route("m-" + std::to_string(routes), 0))) {
        ++routes;
    }
    assert_true(routes > 100);
    assert_false(own.table.put(split_route("m-0", 100)));
    assert_int_equal(own.table.count(), routes);
    for (int i = 0; i < routes; ++i) {
        assert_text(own.choose({"m-" + std::to_string(i), "", "", false, 0}), "blue 1 upstream-1 model__r1");
    }
    // Taking one away needs no room and makes some.
    assert_true(own.table.put({"m-1", "", {}, {}, 0}));
    assert_true(own.table.put(split_route("m-0", 100)));
    assert_text(own.choose({"m-0", "", "", false, 0}), "green 2 upstream-2 model__r2");
}

void a_reader_without_memory_does_not_take_a_route_for_none(void **)
{
    own_routes own;
    own.table.put(split_route("m", 0));
    rollout::route_choice choice;
    const auto found = own.table.choose(
        {"m", "", "", false, 0}, [](std::size_t) -> unsigned char * { return nullptr; }, choice);
    assert_true(found == rollout::record_store::found::failed);
    assert_true(choice.upstream.empty());
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(an_unknown_model_has_no_route),
        cmocka_unit_test(a_name_over_its_bound_is_unknown_whatever_there_is),
        cmocka_unit_test(each_part_has_its_own_route),
        cmocka_unit_test(a_route_takes_the_place_of_the_one_before),
        cmocka_unit_test(a_removed_route_is_forgotten),
        cmocka_unit_test(names_at_their_bounds_come_back_whole),
        cmocka_unit_test(a_full_set_drops_what_is_not_in_it),
        cmocka_unit_test(an_empty_full_set_drops_all),
        cmocka_unit_test(each_route_is_visited_as_it_was_put),
        cmocka_unit_test(a_full_table_says_so_and_keeps_the_routes_in_force),
        cmocka_unit_test(a_reader_without_memory_does_not_take_a_route_for_none),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
