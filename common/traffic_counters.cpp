#include "common/traffic_counters.hpp"

#include <cmath>

namespace rollout {

double traffic_counters::quantile_ms(double share) const noexcept
{
    std::uint64_t all = 0;
    for (const auto count : buckets) {
        all += count;
    }
    if (all == 0) {
        return 0;
    }
    const auto wanted = static_cast<std::uint64_t>(std::ceil(share * static_cast<double>(all)));
    std::uint64_t below = 0;
    for (std::size_t i = 0; i < buckets.size(); ++i) {
        below += buckets[i];
        if (below >= wanted && below != 0) {
            return bucket_ms(i);
        }
    }
    return bucket_ms(latency_buckets - 1);
}


traffic_counters &traffic_counters::operator+=(const traffic_counters &more) noexcept
{
    requests += more.requests;
    failures += more.failures;
    client_errors += more.client_errors;
    sum_ms += more.sum_ms;
    for (std::size_t i = 0; i < buckets.size(); ++i) {
        buckets[i] += more.buckets[i];
    }
    return *this;
}


traffic_counters traffic_counters::grown_since(const traffic_counters &before) const noexcept
{
    if (since != before.since) {
        return *this;
    }
    // The parts of a count are read one after the other while requests end: each by itself never falls.
    const auto grown = [](std::uint64_t now, std::uint64_t then) { return now < then ? 0 : now - then; };
    traffic_counters by;
    by.requests = grown(requests, before.requests);
    by.failures = grown(failures, before.failures);
    by.client_errors = grown(client_errors, before.client_errors);
    by.sum_ms = grown(sum_ms, before.sum_ms);
    by.since = since;
    for (std::size_t i = 0; i < buckets.size(); ++i) {
        by.buckets[i] = grown(buckets[i], before.buckets[i]);
    }
    return by;
}


json_ptr counters_to_json(const traffic_counters &from, std::uint64_t revision)
{
    json_ptr to = json_make_object();
    json_put(to.get(), "revision", json_make_number(revision));
    json_put(to.get(), "requests", json_make_number(from.requests));
    json_put(to.get(), "failures", json_make_number(from.failures));
    json_put(to.get(), "client_errors", json_make_number(from.client_errors));
    json_put(to.get(), "sum_ms", json_make_number(from.sum_ms));
    json_put(to.get(), "since", json_make_number(from.since));
    json_ptr buckets = json_make_array();
    for (std::size_t i = 0; i < from.buckets.size(); ++i) {
        if (from.buckets[i] != 0) {
            json_add(buckets.get(), json_make_number(i));
            json_add(buckets.get(), json_make_number(from.buckets[i]));
        }
    }
    json_put(to.get(), "buckets", std::move(buckets));
    return to;
}


std::optional<traffic_counters> counters_from_json(const json_t *from, std::uint64_t &revision)
{
    const json_t *buckets = json_object_get(from, "buckets");
    if (!json_is_array(buckets) || json_array_size(buckets) % 2 != 0) {
        return std::nullopt;
    }
    traffic_counters to;
    revision = json_count(from, "revision");
    to.requests = json_count(from, "requests");
    to.failures = json_count(from, "failures");
    to.client_errors = json_count(from, "client_errors");
    to.sum_ms = json_count(from, "sum_ms");
    to.since = json_count(from, "since");
    for (std::size_t i = 0; i < json_array_size(buckets); i += 2) {
        const auto bucket = json_integer_value(json_array_get(buckets, i));
        const auto count = json_integer_value(json_array_get(buckets, i + 1));
        if (bucket < 0 || bucket >= static_cast<json_int_t>(latency_buckets) || count < 0) {
            return std::nullopt;
        }
        to.buckets[static_cast<std::size_t>(bucket)] = static_cast<std::uint64_t>(count);
    }
    return to;
}

} // namespace rollout
