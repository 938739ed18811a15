#include "common/domain/traffic_counters.hpp"

#include <cmath>

namespace rollout {

namespace {

constexpr std::uint64_t traffic_counters::*numbers[] = {&traffic_counters::requests, &traffic_counters::failures,
                                                        &traffic_counters::client_errors, &traffic_counters::left_out,
                                                        &traffic_counters::sum_ms};

constexpr struct {
    const char *name;
    latency_histogram traffic_counters::*counts;
} histograms[] = {
    {"buckets", &traffic_counters::buckets},
    {"first_byte", &traffic_counters::first_byte},
    {"abandoned", &traffic_counters::abandoned},
};


template <std::size_t size>
void add(std::array<std::uint64_t, size> &to, const std::array<std::uint64_t, size> &more) noexcept
{
    for (std::size_t i = 0; i < size; ++i) {
        to[i] += more[i];
    }
}


/// Writes index, count, index, count.
template <std::size_t size>
void put_counts(json_t *to, const char *name, const std::array<std::uint64_t, size> &from)
{
    json_ptr counts = json_make_array();
    for (std::size_t i = 0; i < size; ++i) {
        if (from[i] != 0) {
            json_add(counts.get(), json_make_number(i));
            json_add(counts.get(), json_make_number(from[i]));
        }
    }
    json_put(to, name, std::move(counts));
}


/// Returns false if it is not such a list.
template <std::size_t size>
bool read_counts(const json_t *from, const char *name, std::array<std::uint64_t, size> &to)
{
    const json_t *counts = json_object_get(from, name);
    if (counts == nullptr) {
        return true;
    }
    if (!json_is_array(counts) || json_array_size(counts) % 2 != 0) {
        return false;
    }
    for (std::size_t i = 0; i < json_array_size(counts); i += 2) {
        const auto index = json_integer_value(json_array_get(counts, i));
        const auto count = json_integer_value(json_array_get(counts, i + 1));
        if (index < 0 || index >= static_cast<json_int_t>(size) || count < 0) {
            return false;
        }
        to[static_cast<std::size_t>(index)] = static_cast<std::uint64_t>(count);
    }
    return true;
}

} // namespace


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
    for (const auto number : numbers) {
        this->*number += more.*number;
    }
    for (const auto histogram : histograms) {
        add(this->*histogram.counts, more.*histogram.counts);
    }
    add(waiting, more.waiting);
    return *this;
}


traffic_counters traffic_counters::grown_since(const traffic_counters &before) const noexcept
{
    if (since != before.since) {
        return *this;
    }
    // The parts of a count are read one after the other while requests end; no single one ever decreases.
    const auto grown = [](std::uint64_t now, std::uint64_t then) { return now < then ? 0 : now - then; };
    traffic_counters by;
    for (const auto number : numbers) {
        by.*number = grown(this->*number, before.*number);
    }
    by.since = since;
    for (const auto histogram : histograms) {
        for (std::size_t i = 0; i < latency_buckets; ++i) {
            (by.*histogram.counts)[i] = grown((this->*histogram.counts)[i], (before.*histogram.counts)[i]);
        }
    }
    by.waiting = waiting;
    return by;
}


json_ptr counters_to_json(const traffic_counters &from, std::uint64_t revision)
{
    json_ptr to = json_make_object();
    json_put(to.get(), "revision", json_make_number(revision));
    json_put(to.get(), "requests", json_make_number(from.requests));
    json_put(to.get(), "failures", json_make_number(from.failures));
    json_put(to.get(), "client_errors", json_make_number(from.client_errors));
    json_put(to.get(), "left_out", json_make_number(from.left_out));
    json_put(to.get(), "sum_ms", json_make_number(from.sum_ms));
    json_put(to.get(), "since", json_make_number(from.since));
    for (const auto &[name, counts] : histograms) {
        put_counts(to.get(), name, from.*counts);
    }
    put_counts(to.get(), "waiting", from.waiting);
    return to;
}


std::optional<traffic_counters> counters_from_json(const json_t *from, std::uint64_t &revision)
{
    if (!json_is_array(json_object_get(from, "buckets"))) {
        return std::nullopt;
    }
    traffic_counters to;
    revision = json_count(from, "revision");
    to.requests = json_count(from, "requests");
    to.failures = json_count(from, "failures");
    to.client_errors = json_count(from, "client_errors");
    to.left_out = json_count(from, "left_out");
    to.sum_ms = json_count(from, "sum_ms");
    to.since = json_count(from, "since");
    bool whole = read_counts(from, "waiting", to.waiting);
    for (const auto &[name, counts] : histograms) {
        whole = read_counts(from, name, to.*counts) && whole;
    }
    return whole ? std::optional(to) : std::nullopt;
}

} // namespace rollout
