// What rolloutd asks of the counters, over all parts of a model and all processes of the gateway.
#include "module/link/measurements.hpp"
#include "tests/unit/cmocka.hpp"
#include "tests/unit/fakes/fake_nginx.hpp"

#include <unistd.h>

namespace {

using rollout::in_flight_key;
using result = rollout::gate_counters::result;

constexpr std::uint32_t now_s = 1000;

rollout::json_ptr json_of(const std::string &text)
{
    json_error_t error;
    auto value = rollout::json_read(text, 0, error);
    assert_non_null(value.get());
    return value;
}

void requests_in_flight_are_those_of_all_parts_that_are_asked_for(void **)
{
    fake_nginx::zone_memory memory;
    rollout::in_flight_table process(memory.zone.in_flight);
    rollout::in_flight_table another(memory.zone.in_flight);
    process.join(getpid(), rollout::is_alive);
    another.join(getppid(), rollout::is_alive);
    process.enter(in_flight_key("m", "query", 7));
    process.enter(in_flight_key("m", "items", 7));
    process.enter(in_flight_key("m", "other", 7));
    process.enter(in_flight_key("m", "query", 8));
    another.enter(in_flight_key("m", "query", 7));
    const auto question =
        json_of(R"({"type":"sample","id":3,"model_id":"m","parts":["query","items"],"revision":7})");
    assert_text(rollout::json_compact(sampled(memory.zone, question.get()).get()),
                R"({"type":"counters","id":3,"in_flight":3})");
}

void each_revision_has_its_results_summed_over_the_parts(void **)
{
    fake_nginx::zone_memory memory;
    rollout::gate_counters traffic(memory.zone.traffic);
    traffic.count(in_flight_key("m", "query", 7), result::good, 5, 2, now_s);
    traffic.count(in_flight_key("m", "items", 7), result::good, 5, 2, now_s);
    traffic.count(in_flight_key("m", "items", 7), result::failure, 5, {}, now_s);
    traffic.count(in_flight_key("m", "query", 8), result::good, 5, 2, now_s);
    const auto question =
        json_of(R"({"type":"measure","id":4,"model_id":"m","parts":["query","items"],"revisions":[7,8]})");
    const auto answer = measured(memory.zone, question.get(), now_s);
    assert_text(rollout::json_text(answer.get(), "type"), "measured");
    assert_int_equal(rollout::json_number(answer.get(), "id"), 4);
    const json_t *counters = json_object_get(answer.get(), "counters");
    assert_int_equal(json_array_size(counters), 2);

    rollout::traffic_counters of_seven = traffic.read(in_flight_key("m", "query", 7));
    const auto items = traffic.read(in_flight_key("m", "items", 7));
    of_seven += items;
    of_seven.since += items.since;
    assert_text(rollout::json_compact(json_array_get(counters, 0)),
                rollout::json_compact(counters_to_json(of_seven, 7).get()));
    assert_text(rollout::json_compact(json_array_get(counters, 1)),
                rollout::json_compact(counters_to_json(traffic.read(in_flight_key("m", "query", 8)), 8).get()));
}

void the_last_minute_is_told_only_if_every_part_is_counted_by_itself(void **)
{
    fake_nginx::zone_memory memory;
    rollout::route_metrics meters(memory.zone.meters);
    const auto query = meters.take("m", "query");
    meters.count_inference(query, now_s);
    meters.count_inference(query, now_s);
    const auto question = json_of(R"({"id":4,"model_id":"m","parts":["query","items"],"revisions":[]})");
    assert_null(json_object_get(measured(memory.zone, question.get(), now_s).get(), "last_minute"));
    const auto items = meters.take("m", "items");
    meters.count_inference(items, now_s);
    assert_int_equal(rollout::json_number(measured(memory.zone, question.get(), now_s).get(), "last_minute"), 3);
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        cmocka_unit_test(requests_in_flight_are_those_of_all_parts_that_are_asked_for),
        cmocka_unit_test(each_revision_has_its_results_summed_over_the_parts),
        cmocka_unit_test(the_last_minute_is_told_only_if_every_part_is_counted_by_itself),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
