// The numbers of the gate: latencies in buckets, quantiles, what grew between two looks, the table in shared memory.
#include "common/domain/traffic_counters.hpp"
#include "module/tables/gate_counters.hpp"
#include "tests/unit/cmocka.hpp"
#include "tests/unit/module/tables/line_memory.hpp"

#include <cmath>
#include <set>
#include <vector>

namespace {

using namespace rollout;


void test_a_bucket_is_at_most_5_percent_from_its_latencies(void **)
{
    for (std::uint64_t ms = 1; ms <= 60000; ++ms) {
        const double shown = bucket_ms(latency_bucket(ms));
        const auto exact = static_cast<double>(ms);
        assert_true(std::abs(shown - exact) <= 0.05 * exact);
    }
    assert_int_equal(latency_bucket(0), 0);
    assert_int_equal(latency_bucket(65535), latency_buckets - 1);
    assert_int_equal(latency_bucket(UINT64_MAX), latency_buckets - 1);
}


void test_quantiles_are_those_of_the_requests(void **)
{
    traffic_counters counters;
    assert_true(counters.quantile_ms(0.99) == 0);
    for (unsigned i = 0; i < 99; ++i) {
        ++counters.buckets[latency_bucket(10)];
    }
    ++counters.buckets[latency_bucket(1000)];
    assert_true(counters.quantile_ms(0.5) == 10);
    assert_true(counters.quantile_ms(0.99) == 10);
    assert_true(std::abs(counters.quantile_ms(1) - 1000) <= 50);
}


void test_what_grew_is_counted_anew_in_another_place(void **)
{
    traffic_counters before;
    before.requests = 10;
    before.failures = 4;
    before.since = 7;
    before.buckets[3] = 10;
    traffic_counters now = before;
    now.requests = 15;
    now.buckets[3] = 15;
    assert_int_equal(now.grown_since(before).requests, 5);
    assert_int_equal(now.grown_since(before).failures, 0);
    assert_int_equal(now.grown_since(before).buckets[3], 5);
    now.since = 8;
    assert_int_equal(now.grown_since(before).requests, 15);
}


void test_counters_cross_the_link_whole(void **)
{
    traffic_counters counters;
    counters.requests = 3;
    counters.failures = 1;
    counters.client_errors = 1;
    counters.sum_ms = 70000;
    counters.since = 2;
    counters.buckets[0] = 2;
    counters.buckets[latency_buckets - 1] = 1;
    counters.left_out = 4;
    counters.first_byte[7] = 3;
    counters.abandoned[100] = 2;
    counters.waiting[16] = 5;
    std::uint64_t revision = 0;
    const auto read = counters_from_json(counters_to_json(counters, 7).get(), revision);
    assert_true(read.has_value());
    assert_int_equal(revision, 7);
    assert_int_equal(read->requests, 3);
    assert_int_equal(read->failures, 1);
    assert_int_equal(read->client_errors, 1);
    assert_int_equal(read->sum_ms, 70000);
    assert_int_equal(read->since, 2);
    assert_int_equal(read->left_out, 4);
    assert_true(read->buckets == counters.buckets);
    assert_true(read->first_byte == counters.first_byte);
    assert_true(read->abandoned == counters.abandoned);
    assert_true(read->waiting == counters.waiting);

    json_error_t error;
    for (const char *bad : {"{}", R"({"buckets": [1]})", R"({"buckets": [208, 1]})", R"({"buckets": [-1, 1]})",
                            R"({"buckets": [], "abandoned": [208, 1]})", R"({"buckets": [], "waiting": [17, 1]})"}) {
        const json_ptr text(json_loads(bad, 0, &error));
        assert_false(counters_from_json(text.get(), revision).has_value());
    }
}


struct memory {
    explicit memory(std::size_t places, std::size_t stripes = 1) : bytes(gate_counters::bytes_for(places, stripes))
    {
        gate_counters::format(bytes.get(), places, stripes);
    }
    line_memory bytes;
};


void test_the_table_counts_each_revision_by_itself(void **)
{
    memory shared(32);
    gate_counters one(shared.bytes.get());
    gate_counters other(shared.bytes.get());
    for (int i = 0; i < 10; ++i) {
        one.count(11, gate_counters::result::good, 5, 3, 1);
        other.count(11, gate_counters::result::failure, 100, std::nullopt, 1);
        other.count(12, gate_counters::result::client_error, 1, 1, 1);
    }
    const auto counters = one.read(11);
    assert_int_equal(counters.requests, 20);
    assert_int_equal(counters.failures, 10);
    assert_int_equal(counters.client_errors, 0);
    assert_int_equal(counters.sum_ms, 1050);
    assert_int_equal(counters.buckets[5], 10);
    assert_int_equal(counters.first_byte[3], 10);
    assert_int_equal(one.read(12).client_errors, 10);
    assert_int_equal(one.read(13).requests, 0);
}


void test_processes_of_different_stripes_write_no_cache_line_of_another(void **)
{
    memory shared(32, 3);
    gate_counters(shared.bytes.get()).count_left_out(11, 1); // has claimed a bucket
    std::set<std::size_t> all;
    std::size_t lines = 0;
    for (std::size_t process = 0; process < 3; ++process) {
        gate_counters table(shared.bytes.get(), process);
        const auto written = shared.bytes.lines_written([&] {
            table.count(11, gate_counters::result::good, 5, 3, 1);
            table.count(11, gate_counters::result::failure, 100, std::nullopt, 1);
            table.count_abandoned(11, 700, 1);
        });
        lines += written.size();
        all.insert(written.begin(), written.end());
    }
    assert_int_equal(all.size(), lines);
    const auto counters = gate_counters(shared.bytes.get(), 3).read(11);
    assert_int_equal(counters.requests, 6);
    assert_int_equal(counters.failures, 3);
    assert_int_equal(counters.left_out, 1);
    assert_int_equal(counters.first_byte[3], 3);
    assert_int_equal(counters.buckets[5], 3);
    assert_int_equal(counters.abandoned[latency_bucket(700)], 3);
    assert_int_equal(counters.sum_ms, 315);
}


void test_who_gave_up_and_what_was_left_out_are_not_among_the_requests(void **)
{
    memory shared(32);
    gate_counters table(shared.bytes.get());
    table.count_abandoned(11, 700, 1);
    table.count_left_out(11, 1);
    const auto counters = table.read(11);
    assert_int_equal(counters.requests, 0);
    assert_int_equal(counters.abandoned[latency_bucket(700)], 1);
    assert_int_equal(counters.left_out, 1);
    assert_true(counters.buckets == latency_histogram{});
}


void test_a_full_table_gives_away_the_place_that_was_not_used_for_longest(void **)
{
    memory shared(4);
    gate_counters table(shared.bytes.get());
    for (std::uint32_t i = 1; i <= 4; ++i) {
        table.count(i, gate_counters::result::good, 1, 1, i);
    }
    const auto before = table.read(1);
    table.count(1, gate_counters::result::good, 1, 1, 5);
    table.count(9, gate_counters::result::good, 1, 1, 6);
    assert_int_equal(table.read(2).requests, 0);
    assert_int_equal(table.read(1).requests, 2);
    assert_int_equal(table.read(9).requests, 1);
    assert_true(table.read(9).since != before.since);
}

} // namespace


int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(test_a_bucket_is_at_most_5_percent_from_its_latencies),
        cmocka_unit_test(test_quantiles_are_those_of_the_requests),
        cmocka_unit_test(test_what_grew_is_counted_anew_in_another_place),
        cmocka_unit_test(test_counters_cross_the_link_whole),
        cmocka_unit_test(test_the_table_counts_each_revision_by_itself),
        cmocka_unit_test(test_processes_of_different_stripes_write_no_cache_line_of_another),
        cmocka_unit_test(test_who_gave_up_and_what_was_left_out_are_not_among_the_requests),
        cmocka_unit_test(test_a_full_table_gives_away_the_place_that_was_not_used_for_longest),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
