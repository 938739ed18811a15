#include "common/domain/limits.hpp"
#include "module/tables/route_metrics.hpp"
#include "tests/unit/cmocka.hpp"
#include "tests/unit/module/tables/chosen_route.hpp"
#include "tests/unit/module/tables/line_memory.hpp"

#include <cstdlib>
#include <cstring>
#include <memory>
#include <numeric>
#include <set>
#include <string>

namespace {

using rollout::route_metrics;
using rollout::route_metrics_entry;
using rollout::slot;

/// A table in memory that held something else before.
struct own_meters {
    explicit own_meters(std::size_t entries = 64, std::size_t stripes = 1)
        : memory(route_metrics::bytes_for(entries, stripes))
    {
        route_metrics::format(memory.get(), entries, stripes);
        table = std::make_unique<route_metrics>(memory.get());
    }

    /// All zero where that model has no entry.
    route_metrics::reading of(std::string_view model_id, std::string_view part = "") const
    {
        for (auto &one : table->read(0, table->entries())) {
            if (one.model_id == model_id && one.part == part) {
                return one;
            }
        }
        return {};
    }

    std::set<std::string> names() const
    {
        std::set<std::string> all;
        for (const auto &one : table->read(0, table->entries())) {
            assert_true(all.insert(one.model_id + "/" + one.part).second);
        }
        return all;
    }

    line_memory memory;
    std::unique_ptr<route_metrics> table;
};

std::uint64_t requests(const route_metrics::slot_reading &of)
{
    return std::accumulate(of.by_class.begin(), of.by_class.end(), std::uint64_t{0});
}

void requests_count_by_slot_and_by_the_class_of_their_status(void **)
{
    own_meters own;
    const auto entry = own.table->take("m", "");
    for (const unsigned status : {101u, 200u, 204u, 302u, 404u, 499u, 500u, 599u, 999u}) {
        own.table->count(entry, slot::blue, status, 3);
    }
    own.table->count(entry, slot::green, 200, 7);
    const auto got = own.of("m");
    assert_true((got.slots[0].by_class == std::array<std::uint64_t, 5>{1, 2, 1, 2, 3}));
    assert_true((got.slots[1].by_class == std::array<std::uint64_t, 5>{0, 1, 0, 0, 0}));
    assert_int_equal(got.slots[0].sum_ms, 27);
    assert_int_equal(got.slots[1].sum_ms, 7);
    assert_false(own.of("").slots[0].any());
}

void the_last_minute_is_the_last_six_times_ten_seconds(void **)
{
    own_meters own;
    const auto entry = own.table->take("m", "");
    for (std::uint32_t now_s = 1000; now_s < 1200; ++now_s) {
        own.table->count_inference(entry, now_s);
    }
    assert_int_equal(own.table->last_minute("m", "", 1199).value(), 60);
    assert_int_equal(own.table->last_minute("m", "", 1203).value(), 50);
    assert_int_equal(own.table->last_minute("m", "", 1249).value(), 10);
    assert_int_equal(own.table->last_minute("m", "", 1250).value(), 0);
    assert_int_equal(own.table->last_minute("m", "", 1000000).value(), 0);
    own.table->count_inference(entry, 1000000);
    assert_int_equal(own.table->last_minute("m", "", 1000000).value(), 1);

    own.table->count(entry, slot::green, 200, 1);
    assert_int_equal(own.table->last_minute("m", "", 1000000).value(), 1);
    assert_false(own.table->last_minute("other", "", 1000000).has_value());
    own.table->count_inference({}, 1000000); // of a route without an entry
    assert_false(own.table->last_minute("", "", 1000000).has_value());

    own.table->release("m", "");
    own.table->count_inference(entry, 1000000);
    assert_false(own.table->last_minute("m", "", 1000000).has_value());
    own.table->take("m", "");
    assert_int_equal(own.table->last_minute("m", "", 1000000).value(), 0);
}

void a_latency_at_a_bound_is_in_its_bucket_and_one_past_it_in_the_next(void **)
{
    for (std::size_t i = 0; i < rollout::meter_bounds_ms.size(); ++i) {
        own_meters own;
        const auto entry = own.table->take("m", "");
        own.table->count(entry, slot::blue, 200, rollout::meter_bounds_ms[i]);
        own.table->count(entry, slot::blue, 200, rollout::meter_bounds_ms[i] + 1);
        const auto got = own.of("m").slots[0].buckets;
        assert_int_equal(got[i], 1);
        assert_int_equal(got[i + 1], 1);
        assert_int_equal(std::accumulate(got.begin(), got.end(), std::uint64_t{0}), 2);
    }
}

void a_route_keeps_its_place_and_a_new_one_counts_from_zero(void **)
{
    own_meters own;
    const auto first = own.table->take("m", "");
    own.table->count(first, slot::blue, 200, 1);
    const auto again = own.table->take("m", "");
    assert_true(again.index == first.index && again.generation == first.generation);
    assert_int_equal(requests(own.of("m").slots[0]), 1);

    own.table->release("m", "");
    assert_true(own.names() == std::set<std::string>{"/"});
    const auto anew = own.table->take("m", "");
    assert_true(anew.index == first.index && anew.generation != first.generation);
    assert_false(own.of("m").slots[0].any());
}

void a_request_that_outlives_its_route_counts_among_the_others(void **)
{
    own_meters own;
    const auto gone = own.table->take("m", "");
    own.table->release("m", "");
    own.table->take("m", "");
    own.table->count(gone, slot::green, 200, 1);
    assert_false(own.of("m").slots[1].any());
    assert_int_equal(requests(own.of("").slots[1]), 1);
}

void parts_have_places_of_their_own(void **)
{
    own_meters own;
    own.table->count(own.table->take("m", "query"), slot::blue, 200, 1);
    own.table->count(own.table->take("m", "items"), slot::blue, 500, 1);
    own.table->take("mquery", "");
    assert_int_equal(own.of("m", "query").slots[0].by_class[1], 1);
    assert_int_equal(own.of("m", "items").slots[0].by_class[4], 1);
    assert_false(own.of("mquery").slots[0].any());
}

void names_at_their_bound_fit_and_longer_ones_have_no_place(void **)
{
    own_meters own;
    const std::string model(rollout::limits::model_id_bytes, 'm');
    const std::string part(rollout::limits::model_id_bytes, 'p');
    own.table->count(own.table->take(model, part), slot::blue, 200, 1);
    assert_int_equal(requests(own.of(model, part).slots[0]), 1);
    assert_int_equal(own.table->take(model + "m", "").index, 0);
    assert_int_equal(own.table->take("m", part + "p").index, 0);
}

void routes_without_a_place_share_one_and_places_are_bounded(void **)
{
    own_meters own(route_metrics::min_places);
    int placed = 0;
    for (int i = 0; i < 100; ++i) {
        const auto entry = own.table->take("m-" + std::to_string(i), "");
        placed += entry.index != 0 ? 1 : 0;
        own.table->count(entry, slot::blue, 200, 1);
    }
    assert_int_equal(placed, route_metrics::min_places - 1);
    assert_int_equal(own.names().size(), route_metrics::min_places);
    assert_int_equal(requests(own.of("").slots[0]), 100 - placed);
}

void a_place_that_is_none_counts_among_the_others(void **)
{
    own_meters own;
    own.table->count({4000000000u, 1}, slot::blue, 200, 1);
    own.table->count({0, 0}, slot::blue, 200, 1);
    assert_int_equal(requests(own.of("").slots[0]), 2);
}

void processes_of_different_stripes_write_no_cache_line_of_another(void **)
{
    own_meters own(8, 3);
    const auto entry = own.table->take("m", "");
    std::set<std::size_t> all;
    std::size_t lines = 0;
    for (std::size_t process = 0; process < 3; ++process) {
        route_metrics table(own.memory.get(), process);
        const auto written = own.memory.lines_written([&] {
            table.count(entry, slot::blue, 200, 3);
            table.count(entry, slot::green, 500, 70000);
            table.count_inference(entry, 100);
        });
        lines += written.size();
        all.insert(written.begin(), written.end());
    }
    assert_int_equal(all.size(), lines);
    // A process beyond the stripes has its counts in one that it shares.
    route_metrics(own.memory.get(), 4).count(entry, slot::blue, 200, 3);
    assert_int_equal(requests(own.of("m").slots[0]), 4);
    assert_int_equal(requests(own.of("m").slots[1]), 3);
    assert_int_equal(own.of("m").slots[0].sum_ms, 12);
    assert_int_equal(own.table->last_minute("m", "", 100).value(), 3);
    own.table->release("m", "");
    own.table->take("m", "");
    assert_false(own.of("m").slots[0].any());
    assert_int_equal(own.table->last_minute("m", "", 100).value(), 0);
}

// With the routes.

struct metered_routes {
    own_meters meters;
    table_memory memory;
    rollout::record_store store{memory.get()};
    rollout::route_table table{store, meters.table.get()};

    route_metrics_entry entry_of(std::string_view model_id) const
    {
        std::string bytes;
        rollout::route_choice choice;
        const auto allocate = [&bytes](std::size_t size) {
            bytes.resize(size);
            return reinterpret_cast<unsigned char *>(bytes.data());
        };
        assert_true(table.choose({model_id, "", "", false, 0}, allocate, choice) ==
                    rollout::record_store::found::yes);
        return choice.meter;
    }
};

void a_routes_place_stays_through_its_changes_and_goes_with_it(void **)
{
    metered_routes own;
    own.table.put(split_route("m", 0));
    const auto entry = own.entry_of("m");
    assert_true(entry.index != 0);
    own.table.put(split_route("m", 50));
    assert_int_equal(own.entry_of("m").index, entry.index);
    assert_int_equal(own.entry_of("m").generation, entry.generation);

    own.table.put({"m", "", {}, {}, 0});
    assert_true(own.meters.names() == std::set<std::string>{"/"});
}

void routes_that_are_not_kept_give_their_places_back(void **)
{
    metered_routes own;
    own.table.put(split_route("a", 0));
    own.table.put(split_route("b", 0));
    own.table.retain([](std::string_view model_id, std::string_view) { return model_id == "b"; });
    assert_true((own.meters.names() == std::set<std::string>{"/", "b/"}));
}

void a_place_that_a_killed_writer_left_is_found_again(void **)
{
    metered_routes own;
    own.table.put(split_route("a", 0));
    own.meters.table->take("killed-before-its-route-stood", "");
    own.table.release_meters();
    assert_true((own.meters.names() == std::set<std::string>{"/", "a/"}));
}

void a_route_that_does_not_fit_takes_no_place(void **)
{
    metered_routes own;
    int routes = 0;
    while (own.table.put(split_route("m-" + std::to_string(routes), 0))) {
        ++routes;
    }
    assert_false(own.meters.names().contains("m-" + std::to_string(routes) + "/"));
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(requests_count_by_slot_and_by_the_class_of_their_status),
        cmocka_unit_test(the_last_minute_is_the_last_six_times_ten_seconds),
        cmocka_unit_test(a_latency_at_a_bound_is_in_its_bucket_and_one_past_it_in_the_next),
        cmocka_unit_test(a_route_keeps_its_place_and_a_new_one_counts_from_zero),
        cmocka_unit_test(a_request_that_outlives_its_route_counts_among_the_others),
        cmocka_unit_test(parts_have_places_of_their_own),
        cmocka_unit_test(names_at_their_bound_fit_and_longer_ones_have_no_place),
        cmocka_unit_test(routes_without_a_place_share_one_and_places_are_bounded),
        cmocka_unit_test(a_place_that_is_none_counts_among_the_others),
        cmocka_unit_test(processes_of_different_stripes_write_no_cache_line_of_another),
        cmocka_unit_test(a_routes_place_stays_through_its_changes_and_goes_with_it),
        cmocka_unit_test(routes_that_are_not_kept_give_their_places_back),
        cmocka_unit_test(a_place_that_a_killed_writer_left_is_found_again),
        cmocka_unit_test(a_route_that_does_not_fit_takes_no_place),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
