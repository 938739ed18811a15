#include "module/tables/record_store.hpp"
#include "tests/unit/cmocka.hpp"
#include "tests/unit/module/tables/table_memory.hpp"

#include <map>
#include <random>
#include <set>

namespace {

using rollout::age_list;
using rollout::record_map;
using rollout::record_store;

constexpr auto tasks = record_map::tasks;
constexpr auto models = record_map::models;
constexpr auto routes = record_map::routes;
constexpr auto none = age_list::none;

void a_record_reads_as_its_parts_one_after_the_other(void **)
{
    const table_memory memory;
    record_store store(memory.get());
    assert_true(store.put(tasks, "key", {"one", "", " two ", std::string_view("\0\n", 2)}, none));
    assert_true(value_of(store, tasks, "key") == std::string_view("one two \0\n", 10));
    assert_true(store.put(tasks, "empty", {}, none));
    assert_text(value_of(store, tasks, "empty"), "");
    assert_text(value_of(store, tasks, "other"), no_record);
}

void a_value_of_any_size_comes_back_whole(void **)
{
    const table_memory memory;
    record_store store(memory.get());
    std::set<std::size_t> sizes = {64 * 1024 - 1, 64 * 1024, 64 * 1024 + 1, record_store::max_value_bytes};
    for (std::size_t size = 0; size < 400; ++size) {
        sizes.insert(size);
    }
    for (const std::size_t size : sizes) {
        std::string value(size, ' ');
        for (std::size_t i = 0; i < size; ++i) {
            value[i] = static_cast<char>(i * 31 + size);
        }
        assert_true(store.put(tasks, "key", {value}, none));
        assert_true(value_of(store, tasks, "key") == value);
        assert_int_equal(store.cells() - store.free_cells(), record_store::cells_for(3, size));
        assert_true(store.erase(tasks, "key"));
    }
    const std::string too_long(record_store::max_value_bytes + 1, 'v');
    assert_false(store.put(tasks, "key", {too_long}, none));
    assert_text(value_of(store, tasks, "key"), no_record);
}

void a_key_of_any_size_and_bytes_is_told_from_the_others(void **)
{
    const table_memory memory(1024 * 1024);
    record_store store(memory.get());
    const std::string long_key(288, 'k');
    std::set<std::string> keys = {std::string("a\0", 2), std::string("a\0b", 3), "\xFF", "a "};
    for (std::size_t size = 0; size <= long_key.size(); ++size) {
        keys.insert(long_key.substr(0, size));
    }
    for (const auto &key : keys) {
        assert_true(store.put(models, key, {"value of ", key}, none));
    }
    for (const auto &key : keys) {
        assert_true(value_of(store, models, key) == "value of " + key);
    }
    assert_int_equal(store.count(models), keys.size());
    assert_true(value_of(store, models, std::string_view()) ==
                "value of "); // an empty key may have no place in memory
    assert_false(store.put(models, long_key + "k", {"value"}, none));
    assert_text(value_of(store, models, long_key + "k"), no_record);
}

void a_new_version_takes_the_place_of_the_old(void **)
{
    const table_memory memory;
    record_store store(memory.get());
    assert_true(store.put(tasks, "key", {std::string(5000, 'a')}, none));
    assert_true(store.put(tasks, "key", {"short"}, none));
    assert_text(value_of(store, tasks, "key"), "short");
    assert_int_equal(store.count(tasks), 1);
    assert_int_equal(store.cells() - store.free_cells(), 1);
    assert_true(store.put(tasks, "key", {std::string(5000, 'b')}, none));
    assert_true(value_of(store, tasks, "key") == std::string(5000, 'b'));
}

void the_maps_know_nothing_of_each_other(void **)
{
    const table_memory memory;
    record_store store(memory.get());
    assert_true(store.put(tasks, "key", {"a task"}, none));
    assert_true(store.put(models, "key", {"a model"}, none));
    assert_text(value_of(store, routes, "key"), no_record);
    assert_true(store.put(routes, "key", {"a route"}, none));
    assert_true(store.erase(models, "key"));
    assert_text(value_of(store, tasks, "key"), "a task");
    assert_text(value_of(store, models, "key"), no_record);
    assert_text(value_of(store, routes, "key"), "a route");
    store.clear(tasks);
    assert_text(value_of(store, tasks, "key"), no_record);
    assert_text(value_of(store, routes, "key"), "a route");
}

void what_is_erased_gives_its_cells_back(void **)
{
    const table_memory memory;
    record_store store(memory.get());
    const std::size_t free_cells = store.free_cells();
    assert_int_equal(free_cells, store.cells());
    for (int round = 0; round < 50; ++round) {
        for (int i = 0; i < 100; ++i) {
            assert_true(store.put(tasks, "key" + std::to_string(i), {std::string(300, 'v')}, age_list::final_tasks));
        }
        for (int i = 0; i < 100; ++i) {
            assert_true(store.erase(tasks, "key" + std::to_string(i)));
        }
        assert_false(store.erase(tasks, "key0"));
        assert_int_equal(store.free_cells(), free_cells);
        assert_int_equal(store.count(tasks), 0);
        assert_text(oldest_of(store, age_list::final_tasks), "");
    }
}

void a_map_that_is_cleared_gives_its_cells_back(void **)
{
    const table_memory memory;
    record_store store(memory.get());
    for (int i = 0; i < 400; ++i) {
        assert_true(
            store.put(tasks, std::to_string(i), {"v"}, i % 2 ? age_list::active_tasks : age_list::final_tasks));
    }
    assert_true(store.put(models, "m", {"v"}, none));
    store.clear(tasks);
    assert_int_equal(store.count(tasks), 0);
    assert_int_equal(store.cells() - store.free_cells(), 1);
    assert_text(oldest_of(store, age_list::active_tasks), "");
    assert_text(oldest_of(store, age_list::final_tasks), "");
    assert_text(value_of(store, models, "m"), "v");
}

void a_full_store_refuses_and_changes_nothing(void **)
{
    const table_memory memory;
    record_store store(memory.get());
    std::size_t records = 0;
    while (store.put(tasks, std::to_string(records), {std::string(500, 'v')}, age_list::active_tasks)) {
        ++records;
    }
    assert_int_equal(records, store.cells() / record_store::cells_for(4, 500));
    const std::size_t free_cells = store.free_cells();
    assert_false(store.put(tasks, "one more", {std::string(500, 'v')}, none));
    // Nor has a new version room beside the old one.
    assert_false(store.put(tasks, "0", {std::string(500, 'w')}, none));
    assert_int_equal(store.free_cells(), free_cells);
    assert_int_equal(store.count(tasks), records);
    for (std::size_t i = 0; i < records; ++i) {
        assert_true(value_of(store, tasks, std::to_string(i)) == std::string(500, 'v'));
    }
    assert_true(store.erase(tasks, "7"));
    assert_true(store.put(tasks, "0", {std::string(500, 'w')}, none));
    assert_true(value_of(store, tasks, "0") == std::string(500, 'w'));
}

void the_least_memory_holds_the_longest_record(void **)
{
    const table_memory memory(record_store::min_bytes);
    record_store store(memory.get());
    const std::string value(record_store::max_value_bytes, 'v');
    assert_true(store.put(tasks, std::string(288, 'k'), {value}, none));
    assert_true(value_of(store, tasks, std::string(288, 'k')) == value);
}

void a_reader_may_decline_a_value(void **)
{
    const table_memory memory;
    record_store store(memory.get());
    assert_true(store.put(tasks, "key", {"value"}, none));
    std::size_t asked = 0;
    const auto found = store.read(tasks, "key", [&asked](std::size_t size) -> unsigned char * {
        asked = size;
        return nullptr;
    });
    assert_true(found == record_store::found::failed);
    assert_int_equal(asked, 5);
}

void the_oldest_is_the_one_whose_last_writing_is_longest_ago(void **)
{
    const table_memory memory;
    record_store store(memory.get());
    for (const char *key : {"a", "b", "c", "d"}) {
        assert_true(store.put(tasks, key, {"v"}, age_list::active_tasks));
    }
    assert_true(store.put(tasks, "x", {"v"}, none));
    assert_text(oldest_of(store, age_list::active_tasks), "a");
    assert_true(store.put(tasks, "a", {"again"}, age_list::active_tasks)); // b c d a
    assert_text(oldest_of(store, age_list::active_tasks), "b");
    assert_true(store.put(tasks, "b", {"v"}, age_list::final_tasks)); // c d a, b
    assert_text(oldest_of(store, age_list::active_tasks), "c");
    assert_text(oldest_of(store, age_list::final_tasks), "b");
    assert_true(store.erase(tasks, "d")); // c a, from the middle
    assert_true(store.erase(tasks, "c"));
    assert_text(oldest_of(store, age_list::active_tasks), "a");
    assert_true(store.put(tasks, "a", {"v"}, none));
    assert_text(oldest_of(store, age_list::active_tasks), "");
    assert_text(oldest_of(store, age_list::final_tasks), "b");
}

void an_oldest_key_that_does_not_fit_is_not_cut(void **)
{
    const table_memory memory;
    record_store store(memory.get());
    const std::string key(100, 'k');
    assert_true(store.put(tasks, key, {"v"}, age_list::final_tasks));
    char exact[100];
    char less[99];
    assert_text(store.oldest(age_list::final_tasks, exact), key);
    assert_true(store.oldest(age_list::final_tasks, less).empty());
}

void each_key_is_visited_once_and_may_be_erased_then(void **)
{
    const table_memory memory;
    record_store store(memory.get());
    std::multiset<std::string> expected;
    for (int i = 0; i < 300; ++i) {
        expected.insert("key" + std::to_string(i));
        assert_true(store.put(routes, "key" + std::to_string(i), {"v"}, none));
        assert_true(store.put(tasks, "task" + std::to_string(i), {"v"}, none));
    }
    std::multiset<std::string> visited;
    store.each(routes, [&](std::string_view key) {
        visited.insert(std::string(key));
        if (key.back() % 2 == 0) {
            store.erase(routes, key);
        }
    });
    assert_true(visited == expected);
    std::size_t left = 0;
    store.each(routes, [&](std::string_view key) { left += key.back() % 2 != 0; });
    assert_int_equal(left, 150);
    assert_int_equal(store.count(routes), 150);
    assert_int_equal(store.count(tasks), 300);
}

void each_record_of_a_map_is_read_once(void **)
{
    const table_memory memory(1024 * 1024);
    record_store store(memory.get());
    std::multiset<std::pair<std::string, std::string>> expected;
    for (int i = 0; i < 300; ++i) {
        const std::string key = "key" + std::to_string(i) + std::string(static_cast<std::size_t>(i % 250), 'k');
        const std::string value(static_cast<std::size_t>(i * 7 % 900), static_cast<char>('a' + i % 26));
        expected.emplace(key, value);
        assert_true(store.put(routes, key, {value}, none));
        assert_true(store.put(tasks, key, {"a task"}, none));
    }
    std::multiset<std::pair<std::string, std::string>> seen;
    const auto found =
        store.read_each(routes, [&](std::string_view key, std::string_view value) { seen.emplace(key, value); });
    assert_true(found == record_store::found::yes);
    assert_true(seen == expected);
}

void two_views_of_the_memory_are_one_store(void **)
{
    const table_memory memory;
    record_store one(memory.get());
    record_store other(memory.get());
    assert_true(one.put(tasks, "key", {"value"}, age_list::active_tasks));
    assert_text(value_of(other, tasks, "key"), "value");
    assert_true(other.erase(tasks, "key"));
    assert_text(value_of(one, tasks, "key"), no_record);
    assert_int_equal(one.count(tasks), 0);
}

void the_memory_may_be_mapped_elsewhere(void **)
{
    const table_memory here;
    record_store store(here.get());
    for (int i = 0; i < 200; ++i) {
        assert_true(store.put(tasks, std::to_string(i), {std::to_string(i * i)}, age_list::final_tasks));
    }
    const table_memory there;
    std::memcpy(there.get(), here.get(), here.bytes());
    std::memset(here.get(), 0xA5, here.bytes());
    record_store moved(there.get());
    for (int i = 0; i < 200; ++i) {
        assert_text(value_of(moved, tasks, std::to_string(i)), std::to_string(i * i));
    }
    assert_text(oldest_of(moved, age_list::final_tasks), "0");
    assert_true(moved.erase(tasks, "0"));
}

void any_order_of_writes_leaves_what_a_map_would_hold(void **)
{
    const table_memory memory(256 * 1024);
    record_store store(memory.get());
    std::map<std::string, std::string> expected;
    std::mt19937 random(20240607); // NOLINT: the same run every time
    for (int step = 0; step < 40000; ++step) {
        const std::string key = "key-" + std::to_string(random() % 500);
        if (random() % 3 == 0) {
            assert_int_equal(store.erase(tasks, key), expected.erase(key) == 1);
            continue;
        }
        const std::string value(random() % 700, static_cast<char>('a' + random() % 26));
        if (store.put(tasks, key, {value}, static_cast<age_list>(random() % 3))) {
            expected[key] = value;
        }
    }
    assert_true(expected.size() > 200);
    assert_int_equal(store.count(tasks), expected.size());
    std::size_t used = 0;
    for (int i = 0; i < 500; ++i) {
        const std::string key = "key-" + std::to_string(i);
        const auto there = expected.find(key);
        assert_true(value_of(store, tasks, key) == (there == expected.end() ? no_record : there->second));
        used += there == expected.end() ? 0 : record_store::cells_for(key.size(), there->second.size());
    }
    assert_int_equal(store.cells() - store.free_cells(), used);
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(a_record_reads_as_its_parts_one_after_the_other),
        cmocka_unit_test(a_value_of_any_size_comes_back_whole),
        cmocka_unit_test(a_key_of_any_size_and_bytes_is_told_from_the_others),
        cmocka_unit_test(a_new_version_takes_the_place_of_the_old),
        cmocka_unit_test(the_maps_know_nothing_of_each_other),
        cmocka_unit_test(what_is_erased_gives_its_cells_back),
        cmocka_unit_test(a_map_that_is_cleared_gives_its_cells_back),
        cmocka_unit_test(a_full_store_refuses_and_changes_nothing),
        cmocka_unit_test(the_least_memory_holds_the_longest_record),
        cmocka_unit_test(a_reader_may_decline_a_value),
        cmocka_unit_test(the_oldest_is_the_one_whose_last_writing_is_longest_ago),
        cmocka_unit_test(an_oldest_key_that_does_not_fit_is_not_cut),
        cmocka_unit_test(each_key_is_visited_once_and_may_be_erased_then),
        cmocka_unit_test(each_record_of_a_map_is_read_once),
        cmocka_unit_test(two_views_of_the_memory_are_one_store),
        cmocka_unit_test(the_memory_may_be_mapped_elsewhere),
        cmocka_unit_test(any_order_of_writes_leaves_what_a_map_would_hold),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
