#include "worker/domain/rollout_series.hpp"

#include "tests/unit/cmocka.hpp"
#include "tests/unit/json_of.hpp"

#include <algorithm>
#include <string>

namespace {

using rollout::json_number;
using rollout::json_text;
using rollout::latency_bucket;
using rollout::mark_kind;
using rollout::rollout_series;
using rollout::series_point;
using rollout::slot_point;
using rollout::slot_point_of;
using rollout::traffic_counters;

constexpr std::int64_t begin_s = 1700000000;


series_point look(std::int64_t second, unsigned weight = 5, slot_point green = {})
{
    series_point made;
    made.at_s = begin_s + second;
    made.weight = weight;
    made.green = green;
    return made;
}


rollout_series looks(std::int64_t count, std::int64_t first = 0)
{
    rollout_series made;
    for (std::int64_t i = 0; i < count; ++i) {
        made.add(look(first + i, 5, {2, 1, 0, 10, static_cast<double>(i % 50)}));
    }
    return made;
}


std::uint64_t requests(const rollout_series &of)
{
    std::uint64_t sum = 0;
    for (const auto &point : of.points()) {
        sum += point.green.requests;
    }
    return sum;
}


rollout_series stored(const rollout_series &of)
{
    auto read = rollout_series::from_document(json_of(of.document("t", "m")).get());
    assert_true(read.has_value());
    return std::move(*read);
}


void a_series_without_a_look_has_empty_columns(void **)
{
    assert_text(rollout_series().document("t", "m"),
                R"({"task_id":"t","model_id":"m","from":null,"period_s":1,"second":[],"weight":[],)"
                R"("blue":{"requests":[],"failures":[],"client_errors":[],"p50_ms":[],"p99_ms":[]},)"
                R"("green":{"requests":[],"failures":[],"client_errors":[],"p50_ms":[],"p99_ms":[]},)"
                R"("limits":null,"marks":[]})");
}


void the_document_has_a_column_for_each_number(void **)
{
    rollout_series series;
    series.set_limits(shared_json_of(R"({"min_requests":50,"max_error_rate":0.01})"));
    series.mark({begin_s * 1000000, mark_kind::weight, "5 %"});
    series.add(look(0));
    series.add(look(1, 5, {10, 1, 2, 7.5, 31}));
    assert_text(
        series.document("t", "m"),
        R"({"task_id":"t","model_id":"m","from":"2023-11-14T22:13:20.000000Z","period_s":1,"second":[0,1],)"
        R"("weight":[5,5],)"
        R"("blue":{"requests":[0,0],"failures":[0,0],"client_errors":[0,0],"p50_ms":[null,null],"p99_ms":[null,null]},)"
        R"("green":{"requests":[0,10],"failures":[0,1],"client_errors":[0,2],"p50_ms":[null,7.5],"p99_ms":[null,31.0]},)"
        R"("limits":{"min_requests":50,"max_error_rate":0.01},)"
        R"("marks":[{"at":"2023-11-14T22:13:20.000000Z","what":"weight","detail":"5 %"}]})");
}


void a_point_is_made_of_what_was_counted(void **)
{
    traffic_counters counted;
    counted.requests = 100;
    counted.failures = 3;
    counted.client_errors = 4;
    counted.buckets[latency_bucket(8)] = 98;
    counted.buckets[latency_bucket(12)] = 2;
    counted.first_byte[latency_bucket(2)] = 100;
    const auto by_total = slot_point_of(counted, false);
    assert_int_equal(by_total.requests, 100);
    assert_int_equal(by_total.failures, 3);
    assert_int_equal(by_total.client_errors, 4);
    assert_true(by_total.p50_ms == 8 && by_total.p99_ms == 12);
    const auto by_first_byte = slot_point_of(counted, true);
    assert_true(by_first_byte.p50_ms == 2 && by_first_byte.p99_ms == 2);
    assert_true(slot_point_of({}, false).p99_ms == 0);
}


void two_looks_of_one_second_are_one_point(void **)
{
    rollout_series series;
    series.add(look(0, 5, {1, 0, 0, 5, 5}));
    series.add(look(0, 5, {3, 1, 0, 9, 20}));
    assert_int_equal(series.points().size(), 1);
    const auto &green = series.points()[0].green;
    assert_int_equal(series.points()[0].looks, 1);
    assert_int_equal(green.requests, 4);
    assert_int_equal(green.failures, 1);
    assert_true(green.p50_ms == 8 && green.p99_ms == 20); // by the number of requests; the larger
}


void a_new_weight_begins_a_point_in_the_same_second(void **)
{
    rollout_series series;
    series.add(look(0, 5));
    series.add(look(0, 25));
    assert_int_equal(series.points().size(), 2);
}


void a_clock_that_is_set_back_does_not_turn_the_series_round(void **)
{
    rollout_series series;
    series.add(look(10));
    series.add(look(4, 5, {1, 0, 0, 1, 1}));
    series.add(look(11));
    assert_int_equal(series.points().size(), 2);
    assert_int_equal(series.points()[0].at_s, begin_s + 10);
    assert_int_equal(requests(series), 1);
}


void neighbours_become_one_when_it_is_full(void **)
{
    const auto full = looks(600);
    assert_int_equal(full.points().size(), 600);
    assert_int_equal(full.period(), 1);

    auto series = looks(601);
    assert_int_equal(series.points().size(), 301);
    assert_int_equal(series.period(), 2);
    assert_int_equal(series.points()[0].looks, 2);
    assert_int_equal(series.points()[0].at_s, begin_s + 1);
    assert_int_equal(series.points()[0].green.requests, 4);
    assert_int_equal(series.points()[0].green.failures, 2);
    assert_true(series.points()[0].green.p99_ms == 1);

    series.add(look(601)); // two looks a point from now on
    assert_int_equal(series.points().size(), 301);
    series.add(look(602));
    assert_int_equal(series.points().size(), 302);
}


void a_rollout_of_five_hours_fits_and_loses_no_request(void **)
{
    constexpr std::int64_t seconds = 5 * 3600;
    const auto series = looks(seconds);
    assert_in_range(series.points().size(), 300, rollout_series::most_points);
    assert_int_equal(requests(series), 2 * seconds);
    assert_int_equal(series.period(), 32);
    assert_int_equal(series.points().back().at_s, begin_s + seconds - 1);
    assert_true(std::ranges::is_sorted(series.points(), {}, &series_point::at_s));
    assert_true(series.document(std::string(64, 't'), std::string(128, 'm')).size() < 64 * 1024);
}


void points_of_two_weights_and_of_two_times_stay_apart(void **)
{
    rollout_series series;
    for (std::int64_t i = 0; i < 300; ++i) {
        series.add(look(i, 5));
    }
    for (std::int64_t i = 0; i < 301; ++i) {
        series.add(look(1000 + i, i < 151 ? 5 : 25));
    }
    assert_int_equal(series.period(), 2);
    for (std::size_t i = 1; i < series.points().size(); ++i) {
        const auto &before = series.points()[i - 1];
        const auto &point = series.points()[i];
        if (before.at_s < begin_s + 1000 && point.at_s >= begin_s + 1000) {
            assert_int_equal(before.at_s, begin_s + 299);
            assert_int_equal(point.at_s, begin_s + 1001);
        }
        if (before.weight != point.weight) {
            assert_int_equal(before.at_s, begin_s + 1150);
        }
    }
}


void the_bound_holds_whatever_comes(void **)
{
    rollout_series gaps;
    rollout_series weights;
    for (std::int64_t i = 0; i < 10000; ++i) {
        gaps.add(look(i * 100, 5, {1, 0, 0, 1, 1}));
        weights.add(look(i, static_cast<unsigned>(i % 2), {1, 0, 0, 1, 1}));
        assert_in_range(gaps.points().size(), 1, rollout_series::most_points);
        assert_in_range(weights.points().size(), 1, rollout_series::most_points);
    }
    assert_int_equal(requests(gaps), 10000);
    assert_int_equal(requests(weights), 10000);
}


void the_oldest_mark_goes_when_there_are_too_many(void **)
{
    rollout_series series;
    for (std::int64_t i = 0; i <= 200; ++i) {
        series.mark({begin_s * 1000000 + i, mark_kind::pause, std::to_string(i) + std::string(400, 'x')});
    }
    assert_int_equal(series.marks().size(), 200);
    assert_int_equal(series.marks().front().at_us, begin_s * 1000000 + 1);
    assert_int_equal(series.marks().back().detail.size(), 300 + 2); // an ellipsis in UTF-8
}


void what_was_stored_continues(void **)
{
    auto before = looks(700);
    before.mark({begin_s * 1000000, mark_kind::weight, "5 %"});
    before.set_limits(shared_json_of(R"({"min_requests":50})"));
    auto series = stored(before);
    assert_text(series.document("t", "m"), before.document("t", "m"));

    auto later = looks(10, 2000);
    later.mark({begin_s * 1000000 + 5, mark_kind::resume, ""});
    series.append(later);
    assert_int_equal(requests(series), requests(before) + requests(later));
    assert_int_equal(series.marks().size(), 2);
    assert_int_equal(series.points()[before.points().size()].at_s, begin_s + 2001); // two looks, after the gap
    assert_text(stored(series).document("t", "m"), series.document("t", "m"));
}


void what_is_no_series_is_not_read(void **)
{
    const std::string good = looks(2).document("t", "m");
    assert_true(rollout_series::from_document(json_of(good).get()).has_value());
    assert_false(rollout_series::from_document(nullptr).has_value());
    const std::pair<const char *, const char *> changes[] = {
        {R"("period_s":1)", R"("period_s":0)"},
        {R"("period_s":1)", R"("period_s":99999999999)"},
        {R"("second":[0,1])", R"("second":[0])"},
        {R"("second":[0,1])", R"("second":[1,0])"},
        {R"("second":[0,1])", R"("second":[0,-1])"},
        {R"("second":[0,1])", R"("second":[0,99999999999])"},
        {R"("weight":[5,5])", R"("weight":[5,101])"},
        {R"("weight":[5,5])", R"("weight":5)"},
        {R"("requests":[2,2])", R"("requests":[2])"},
        {R"("requests":[2,2])", R"("requests":[2,"2"])"},
        {R"("p50_ms":[10.0,10.0])", R"("p50_ms":[10.0,true])"},
        {R"("from":"2023-11-14T22:13:20.000000Z")", R"("from":null)"},
        {R"("marks":[])", R"("marks":[{"at":"2023-11-14T22:13:20.000000Z","what":"party","detail":""}])"},
        {R"("marks":[])", R"("marks":[{"at":"soon","what":"pause","detail":""}])"},
    };
    for (const auto &[is, becomes] : changes) {
        std::string text = good;
        const auto at = text.find(is);
        assert_int_not_equal(at, std::string::npos);
        text.replace(at, std::string(is).size(), becomes);
        if (rollout::rollout_series::from_document(json_of(text).get())) {
            fail_msg("%s was read", becomes);
        }
    }
}

} // namespace


int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(a_series_without_a_look_has_empty_columns),
        cmocka_unit_test(the_document_has_a_column_for_each_number),
        cmocka_unit_test(a_point_is_made_of_what_was_counted),
        cmocka_unit_test(two_looks_of_one_second_are_one_point),
        cmocka_unit_test(a_new_weight_begins_a_point_in_the_same_second),
        cmocka_unit_test(a_clock_that_is_set_back_does_not_turn_the_series_round),
        cmocka_unit_test(neighbours_become_one_when_it_is_full),
        cmocka_unit_test(a_rollout_of_five_hours_fits_and_loses_no_request),
        cmocka_unit_test(points_of_two_weights_and_of_two_times_stay_apart),
        cmocka_unit_test(the_bound_holds_whatever_comes),
        cmocka_unit_test(the_oldest_mark_goes_when_there_are_too_many),
        cmocka_unit_test(what_was_stored_continues),
        cmocka_unit_test(what_is_no_series_is_not_read),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
