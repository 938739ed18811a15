#include "module/link/measurements.hpp"

#include "common/link/frame.hpp"
#include "module/zone/shared_zone.hpp"

#include <optional>
#include <string_view>
#include <utility>

namespace rollout {

namespace {

/// Visits the parts that a question is about.
template <class Visit>
void each_part(const json_t *question, Visit visit)
{
    const json_t *parts = json_object_get(question, "parts");
    for (std::size_t i = 0; i < json_array_size(parts); ++i) {
        visit(json_text(json_array_get(parts, i)));
    }
}


/// Returns an answer with the question's number.
json_ptr answer_to(const json_t *question, gateway_frame type)
{
    json_ptr answer = message_of(type);
    json_put(answer.get(), "id", json_make_number(json_count(question, "id")));
    return answer;
}


traffic_counters counters_of(const shared_zone &zone, const json_t *question, std::uint64_t revision)
{
    const auto model_id = json_text(question, "model_id");
    const gate_counters traffic(zone.traffic);
    const in_flight_table flights(zone.in_flight);
    traffic_counters sum;
    each_part(question, [&](std::string_view part) {
        // The waiting requests are read first: a request that ends in between is seen twice, but never missed.
        const auto key = in_flight_key(model_id, part, revision);
        const auto waiting = flights.waiting(key, is_alive);
        auto counters = traffic.read(key);
        counters.waiting = waiting;
        sum += counters;
        sum.since += counters.since;
    });
    return sum;
}


/// Returns the number of the model's requests in the last minute, or nothing if one of its parts has no entry of its
/// own.
std::optional<std::uint64_t> last_minute_of(const shared_zone &zone, const json_t *question, std::uint32_t now_s)
{
    const auto model_id = json_text(question, "model_id");
    const route_metrics meters(zone.meters);
    std::optional<std::uint64_t> requests = 0;
    each_part(question, [&](std::string_view part) {
        const auto of_part = meters.last_minute(model_id, part, now_s);
        requests = of_part && requests ? std::optional(*requests + *of_part) : std::nullopt;
    });
    return requests;
}

} // namespace


json_ptr sampled(const shared_zone &zone, const json_t *question)
{
    const in_flight_table flights(zone.in_flight);
    std::uint64_t requests = 0;
    each_part(question, [&](std::string_view part) {
        requests += flights.count(
            in_flight_key(json_text(question, "model_id"), part, json_count(question, "revision")), is_alive);
    });
    json_ptr answer = answer_to(question, gateway_frame::counters);
    json_put(answer.get(), "in_flight", json_make_number(requests));
    return answer;
}


json_ptr measured(const shared_zone &zone, const json_t *question, std::uint32_t now_s)
{
    json_ptr counters = json_make_array();
    const json_t *revisions = json_object_get(question, "revisions");
    for (std::size_t i = 0; i < json_array_size(revisions); ++i) {
        const auto revision = static_cast<std::uint64_t>(json_integer_value(json_array_get(revisions, i)));
        json_add(counters.get(), counters_to_json(counters_of(zone, question, revision), revision));
    }
    json_ptr answer = answer_to(question, gateway_frame::measured);
    json_put(answer.get(), "counters", std::move(counters));
    if (const auto requests = last_minute_of(zone, question, now_s)) {
        json_put(answer.get(), "last_minute", json_make_number(*requests));
    }
    return answer;
}

} // namespace rollout
