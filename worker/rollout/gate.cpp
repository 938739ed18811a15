#include "worker/rollout/gate.hpp"

#include "worker/base/format.hpp"

#include <algorithm>
#include <cmath>

namespace rollout {

namespace {

/// 4xx are blamed on green if they are far above blue's: a share of 95 % is, if blue's is below that.
constexpr double far_above_factor = 2;
constexpr double far_above_margin = 0.1;
constexpr double far_above_nothing = 0.5;
constexpr double far_above_most = 0.95;

/// The factor over blue's share of abandoned requests, and of failures that have no limit, that is too much.
constexpr double unasked_ratio = 2;

/// A test that compares with a bound of blue's share spends half of its chance on the bound.
constexpr double part_of_bound = 0.5;

/// What a hold says that it could have detected is right with 99 %.
constexpr double chance_of_bounds = 0.01;

constexpr double most_evidence = 1e12; ///< the most that a document shows

/// Without a latency limit, a request that has waited for less than this is not overdue.
constexpr double least_overdue_ms = 1000;


tried failed_of(const traffic_counters &of)
{
    return {of.requests, of.failures};
}


tried refused_of(const traffic_counters &of)
{
    return {of.requests, of.client_errors};
}


std::uint64_t sum_of(const latency_histogram &counts, std::size_t from) noexcept
{
    std::uint64_t sum = 0;
    for (std::size_t i = from; i < counts.size(); ++i) {
        sum += counts[i];
    }
    return sum;
}


tried abandoned_of(const traffic_counters &of)
{
    const auto abandoned = sum_of(of.abandoned, 0);
    return {of.requests + abandoned, abandoned};
}


/// Counts the requests under way that have waited for longer than a bucket's latencies.
std::uint64_t waiting_beyond(const traffic_counters &of, std::size_t bucket) noexcept
{
    std::uint64_t sum = 0;
    for (std::size_t age = 0; age < waiting_ages; ++age) {
        if (latency_bucket(std::uint64_t{1} << age) > bucket) {
            sum += of.waiting[age];
        }
    }
    return sum;
}


const latency_histogram &latencies_of(const traffic_counters &of, const gate_settings &limits) noexcept
{
    return limits.latency == "first_byte" ? of.first_byte : of.buckets;
}


/// Returns the bucket of the slowest request; the first one if there is none.
std::size_t slowest_bucket(const latency_histogram &of) noexcept
{
    std::size_t bucket = of.size() - 1;
    while (bucket != 0 && of[bucket] == 0) {
        --bucket;
    }
    return bucket;
}


/// Returns the requests of which it is known whether they were slower than a bucket's latencies: one that was
/// abandoned, or is under way, is known to be slow once it has waited for that long, and is not counted before.
tried slower_than(const traffic_counters &of, const gate_settings &limits, std::size_t bucket)
{
    const auto &latencies = latencies_of(of, limits);
    const std::uint64_t known = sum_of(of.abandoned, bucket) + waiting_beyond(of, bucket);
    return {sum_of(latencies, 0) + known, sum_of(latencies, bucket + 1) + known};
}


/// Returns what was added since `before`; requests under way of a process that was killed are lost and do not count.
tried grown(const tried &now, const tried &before) noexcept
{
    const auto by = [](std::uint64_t a, std::uint64_t b) { return a < b ? 0 : a - b; };
    const auto failures = by(now.failures, before.failures);
    return {std::max(failures, by(now.requests, before.requests)), failures};
}


void add_to(traffic_counters &sum, const traffic_counters &more) noexcept
{
    sum += more;
    sum.waiting = more.waiting;
}


gate_verdict bad(std::string why)
{
    return {gate_verdict::kind::bad, false, std::move(why)};
}


json_ptr counters_report(const traffic_counters &from)
{
    json_ptr to = json_make_object();
    json_put(to.get(), "requests", json_make_number(from.requests));
    json_put(to.get(), "failures", json_make_number(from.failures));
    json_put(to.get(), "client_errors", json_make_number(from.client_errors));
    json_put(to.get(), "abandoned", json_make_number(sum_of(from.abandoned, 0)));
    json_put(to.get(), "left_out", json_make_number(from.left_out));
    json_put(to.get(), "error_rate", json_made(json_real(from.error_rate())));
    json_put(to.get(), "p99_ms", json_made(json_real(from.quantile_ms(0.99))));
    json_put(to.get(), "mean_ms", json_made(json_real(std::round(from.mean_ms() * 100) / 100)));
    return to;
}


std::string of_requests(const tried &counted, const char *slot)
{
    return std::to_string(counted.failures) + " of " + slot + " " +
           format_count(counted.requests, "request", "requests");
}


std::string chance_words(double false_alarm)
{
    // Rounded down to two digits, so that the chance is below that.
    const double whole = std::floor(1 / false_alarm);
    const double step = std::pow(10, std::max(0.0, std::floor(std::log10(whole)) - 1));
    return "chance of this with a good green: below 1 in " + format_number(std::floor(whole / step) * step);
}

} // namespace


gate::gate(const gate_settings &limits, const std::vector<gate_share> &shares, std::uint64_t hold_s,
           std::optional<traffic_counters> baseline)
    : limits_(limits), baseline_(baseline)
{
    for (const auto &spent : shares) {
        tests_.push_back({spent, evidence(hold_s)});
    }
}


const traffic_counters &gate::blue_to_compare() const noexcept
{
    return baseline_ ? *baseline_ : counted_.blue;
}


/// Returns whether a test compares with a bound of blue's share, and not with blue's own requests one by one.
bool gate::needs_bound(gate_test which) const noexcept
{
    return which == gate_test::p99_ratio || which == gate_test::client_errors ||
           (baseline_ && (which == gate_test::error_ratio || which == gate_test::abandoned));
}


double gate::decides_at(const test &of) const noexcept
{
    return 1 / (of.share.false_alarm * (needs_bound(of.share.test) ? 1 - part_of_bound : 1));
}


void gate::observe(const gate_window &since_last)
{
    for (auto &tested : tests_) {
        observe_one(tested, since_last); // against what was known of blue so far
    }
    add_to(counted_.green, since_last.green);
    add_to(counted_.blue, since_last.blue);
    for (auto &tested : tests_) {
        tested.decided = tested.decided || tested.found.value() >= decides_at(tested);
    }
}


/// Returns the limit of green's share for a test that has one; no value while there is nothing to compare with.
std::optional<double> gate::limit_of(const test &of) const
{
    const traffic_counters &blue = blue_to_compare();
    const auto bounded = [&](double times, const tried &blues) -> std::optional<double> {
        const double limit = times * share_at_most(blues, part_of_bound * of.share.false_alarm);
        return limit < 1 ? std::optional(limit) : std::nullopt;
    };
    switch (of.share.test) {
    case gate_test::error_rate:
        return limits_.max_error_rate;
    case gate_test::p99:
    case gate_test::p99_ratio:
        return slow_share;
    case gate_test::error_ratio:
        return bounded(*limits_.max_error_ratio_to_blue, failed_of(blue));
    case gate_test::client_errors: {
        if (blue.requests == 0) {
            return far_above_nothing;
        }
        const double blues = share_at_most(refused_of(blue), part_of_bound * of.share.false_alarm);
        const double far_above = std::min(far_above_most, far_above_margin + far_above_factor * blues);
        return far_above > blues ? std::optional(far_above) : std::nullopt;
    }
    case gate_test::abandoned:
        return bounded(std::max(unasked_ratio, limits_.max_error_ratio_to_blue.value_or(0)), abandoned_of(blue));
    }
    return std::nullopt;
}


/// Returns the latency bucket beyond which a request is slow; no value if it cannot be determined.
std::optional<std::size_t> gate::slow_bucket(gate_test which, double chance) const
{
    if (which == gate_test::p99) {
        return limits_.max_p99_ms ? std::optional(latency_bucket(static_cast<std::uint64_t>(*limits_.max_p99_ms)))
                                  : std::nullopt;
    }
    // The least latency that blue's p99 is not above with sufficient certainty.
    const traffic_counters &blue = blue_to_compare();
    const auto is_bound = [&](std::size_t bucket) {
        return is_at_most(slower_than(blue, limits_, bucket), slow_share, chance);
    };
    std::size_t least = 0;
    std::size_t most = latency_buckets - 1;
    if (!is_bound(most - 1)) {
        return std::nullopt;
    }
    while (least < most) {
        const std::size_t middle = (least + most) / 2;
        is_bound(middle) ? most = middle : least = middle + 1;
    }
    const double slow_ms = *limits_.max_p99_ratio_to_blue * std::max(1.0, bucket_most_ms(least));
    const std::size_t bucket = latency_bucket(static_cast<std::uint64_t>(std::min(slow_ms, 1e6)));
    return bucket < latency_buckets - 1 ? std::optional(bucket) : std::nullopt;
}


void gate::observe_one(test &of, const gate_window &since_last)
{
    const traffic_counters &green = since_last.green;
    const traffic_counters &blue = since_last.blue;
    const bool has_baseline = baseline_.has_value();
    const auto add_share = [&](const tried &counted) {
        if (const auto limit = limit_of(of)) {
            of.found.add_share(*limit, counted);
        }
    };
    switch (of.share.test) {
    case gate_test::error_rate:
        add_share(failed_of(green));
        break;
    case gate_test::client_errors:
        // Blue's first requests are no "there is no blue" for green's of the same time.
        if (blue.requests == 0 || blue_to_compare().requests != 0) {
            add_share(refused_of(green));
        }
        break;
    case gate_test::error_ratio:
        has_baseline ? add_share(failed_of(green))
                     : of.found.add_ratio(*limits_.max_error_ratio_to_blue, failed_of(green), failed_of(blue));
        break;
    case gate_test::abandoned:
        has_baseline ? add_share(abandoned_of(green))
                     : of.found.add_ratio(std::max(unasked_ratio, limits_.max_error_ratio_to_blue.value_or(0)),
                                          abandoned_of(green), abandoned_of(blue));
        break;
    case gate_test::p99:
    case gate_test::p99_ratio:
        if (const auto bucket = slow_bucket(of.share.test, part_of_bound * of.share.false_alarm)) {
            traffic_counters now = counted_.green;
            add_to(now, green);
            add_share(grown(slower_than(now, limits_, *bucket), slower_than(counted_.green, limits_, *bucket)));
        }
        break;
    }
}


/// Returns whether blue itself is above an absolute limit, at the same time or in the hold that serves as the
/// baseline.
bool gate::blue_breaks(gate_test which) const
{
    const traffic_counters &blue = blue_to_compare();
    if (blue.requests < std::max<std::uint64_t>(limits_.min_requests, 1)) {
        return false;
    }
    if (which == gate_test::error_rate) {
        return blue.error_rate() > *limits_.max_error_rate;
    }
    if (which == gate_test::p99) {
        const auto bucket = slow_bucket(which, 0);
        return bucket && slower_than(blue, limits_, *bucket).share() > slow_share;
    }
    return false;
}


/// Counts green's requests that have already waited too long, if they are so many that they may be a breach: as
/// failures, they would exceed the limit.
std::uint64_t gate::overdue() const
{
    double after_ms = limits_.max_p99_ms.value_or(0);
    if (!limits_.max_p99_ms) {
        const auto bucket = std::max(slowest_bucket(latencies_of(blue_to_compare(), limits_)),
                                     slowest_bucket(latencies_of(counted_.green, limits_)));
        after_ms = std::max(least_overdue_ms, bucket_most_ms(bucket));
    }
    const auto waiting = waiting_beyond(counted_.green, latency_bucket(static_cast<std::uint64_t>(after_ms)));
    const double all = static_cast<double>(counted_.green.requests + waiting);
    const double share = static_cast<double>(waiting + counted_.green.failures);
    return waiting != 0 && share > std::max(limits_.max_error_rate.value_or(slow_share), slow_share) * all ? waiting
                                                                                                           : 0;
}


gate_verdict gate::verdict() const
{
    for (const auto &tested : tests_) {
        if (tested.decided && !(limits_.absolute_unless_blue && blue_breaks(tested.share.test))) {
            return bad(words_of(tested));
        }
    }
    if (limits_.max_error_rate && *limits_.max_error_rate == 0 && counted_.green.failures != 0) {
        return bad(of_requests(failed_of(counted_.green), "green's") + " failed, and max_error_rate is 0 %");
    }
    const auto requests = counted_.green.requests;
    if (requests < limits_.min_requests || requests == 0) {
        return {gate_verdict::kind::undecided, false,
                "green has had " + std::to_string(requests) + " of the " + std::to_string(limits_.min_requests) +
                    " requests of min_requests"};
    }
    if (const auto late = overdue(); late != 0) {
        return {gate_verdict::kind::undecided, true,
                format_count(late, "request of green's has", "requests of green's have") +
                    " waited too long already, and no answer has come yet"};
    }
    return {gate_verdict::kind::good, false, format_counters(counted_.green) + could_have_seen()};
}


gate_verdict gate::verdict_at_end() const
{
    auto now = verdict();
    if (now.is != gate_verdict::kind::good) {
        return now;
    }
    const double mean = counted_.green.mean_ms();
    const traffic_counters &blue = blue_to_compare();
    const auto means = "green's mean is " + format_number(mean) + " ms";
    if (limits_.max_mean_ms && mean > *limits_.max_mean_ms) {
        return bad(means + " and max_mean_ms is " + format_number(*limits_.max_mean_ms));
    }
    const double blue_mean = std::max(blue.mean_ms(), 1.0);
    if (limits_.max_mean_ratio_to_blue && blue.requests >= std::max<std::uint64_t>(limits_.min_requests, 1) &&
        mean > *limits_.max_mean_ratio_to_blue * blue_mean) {
        return bad(means + ", blue's " + format_number(blue_mean) + " ms and max_mean_ratio_to_blue is " +
                   format_number(*limits_.max_mean_ratio_to_blue));
    }
    return now;
}


std::string gate::words_of(const test &decided) const
{
    const auto since = decided.found.since_it_began();
    const traffic_counters &blue = blue_to_compare();
    const std::string chance = "; " + chance_words(decided.share.false_alarm) + " (";
    const auto whose = [&](const tried &all) { return since.requests < all.requests ? "green's last" : "green's"; };
    const auto at_least = [&](double limit) {
        const double share = share_at_least(since, chance_of_bounds);
        return share > limit ? "at least " + format_percent(share) : "over " + format_percent(limit);
    };
    const auto compared = [&](const tried &blues, const char *did) {
        return ", " + of_requests(blues, "blue's") + (baseline_ ? " in the last hold that it had traffic in" : "") +
               did;
    };
    const auto times = [&](const tried &blues, double limit) {
        const double share = share_at_least(since, chance_of_bounds);
        const double blue_share =
            std::max(blues.share(), blues.requests == 0 ? 0 : 1 / static_cast<double>(blues.requests));
        const double ratio = blue_share > 0 ? share / blue_share : 0;
        return ratio > limit ? "about " + format_number(ratio) + " times"
                             : "more than " + format_number(limit) + " times";
    };
    const auto also = [&](const std::string &blues) {
        return blue_breaks(decided.share.test) ? "; blue breaks the limit as well: " + blues : std::string();
    };
    switch (decided.share.test) {
    case gate_test::error_rate: {
        const auto limit = format_percent(*limits_.max_error_rate);
        return "green's error share is " + at_least(*limits_.max_error_rate) + ", the limit is " + limit + chance +
               of_requests(since, whose(failed_of(counted_.green))) + " failed, and max_error_rate is " + limit +
               ")" + also(of_requests(failed_of(blue), "blue's") + " failed");
    }
    case gate_test::p99: {
        const auto limit = format_number(*limits_.max_p99_ms);
        const auto bucket = *slow_bucket(gate_test::p99, 0);
        return at_least(slow_share) + " of green's requests take longer than " + limit + " ms, 1 % may" + chance +
               of_requests(since, whose(slower_than(counted_.green, limits_, bucket))) + " did, and max_p99_ms is " +
               limit + ")" + also(of_requests(slower_than(blue, limits_, bucket), "blue's") + " do");
    }
    case gate_test::error_ratio: {
        const double limit = *limits_.max_error_ratio_to_blue;
        return "green fails " + times(failed_of(blue), limit) + " as often as blue, the limit is " +
               format_number(limit) + chance + of_requests(since, whose(failed_of(counted_.green))) + " failed" +
               compared(failed_of(blue), "") + ", and max_error_ratio_to_blue is " + format_number(limit) + ")";
    }
    case gate_test::p99_ratio: {
        const auto limit = format_number(*limits_.max_p99_ratio_to_blue);
        return "green's p99 is more than " + limit + " times blue's" + chance + "green's is " +
               format_number(counted_.green.quantile_ms(0.99)) + " ms, blue's " +
               format_number(blue.quantile_ms(0.99)) + " ms, and max_p99_ratio_to_blue is " + limit + ")";
    }
    case gate_test::client_errors:
        return "green refuses " + at_least(limit_of(decided).value_or(far_above_nothing)) +
               " of its requests (4xx), far more than blue" + chance +
               of_requests(since, whose(refused_of(counted_.green))) + " were refused" +
               compared(refused_of(blue), "") + ")";
    case gate_test::abandoned:
        return "clients give up on green " + times(abandoned_of(blue), unasked_ratio) + " as often as on blue" +
               chance + of_requests(since, whose(abandoned_of(counted_.green))) +
               " were abandoned before an answer came" + compared(abandoned_of(blue), "") + ")";
    }
    return {};
}


/// Says how bad green could be given the counts, for each configured limit.
std::string gate::could_have_seen() const
{
    std::string words;
    if (limits_.max_error_rate || limits_.max_error_ratio_to_blue) {
        words += "; its error share is at most " +
                 format_percent(share_at_most(failed_of(counted_.green), chance_of_bounds)) + " (99 %)";
    }
    if (limits_.max_p99_ms) {
        const auto slow = slower_than(counted_.green, limits_, *slow_bucket(gate_test::p99, 0));
        words += "; at most " + format_percent(share_at_most(slow, chance_of_bounds)) +
                 " of its requests take longer than " + format_number(*limits_.max_p99_ms) + " ms (99 %)";
    }
    return words;
}


json_ptr gate::limits_report() const
{
    json_ptr to = json_make_object();
    json_put(to.get(), "min_requests", json_make_number(limits_.min_requests));
    for (const auto &[name, limit, most] : gate_limits) {
        if (limits_.*limit) {
            json_put(to.get(), name, json_made(json_real(*(limits_.*limit))));
        }
    }
    return to;
}


json_ptr gate::report(const gate_verdict &verdict, unsigned weight, std::uint64_t lost_before) const
{
    json_ptr to = json_make_object();
    json_put(to.get(), "weight", json_make_number(weight));
    json_put(to.get(), "verdict",
             verdict.is == gate_verdict::kind::bad    ? "bad"
             : verdict.is == gate_verdict::kind::good ? "good"
                                                      : "undecided");
    json_put(to.get(), "reason", verdict.reason);
    json_put(to.get(), "lost", json_make_number(lost_before + counted_.green.failures));
    json_put(to.get(), "green", counters_report(counted_.green));
    json_put(to.get(), "blue", counters_report(counted_.blue));
    if (traffic_counters blue = blue_to_compare(); blue.requests != 0) {
        blue.waiting = {};
        if (limits_.latency != "first_byte") {
            blue.first_byte = {};
        }
        json_put(to.get(), "baseline", counters_to_json(blue, 0));
    }
    json_put(to.get(), "limits", limits_report());
    json_put(to.get(), "error_rate_at_most",
             json_made(json_real(share_at_most(failed_of(counted_.green), chance_of_bounds))));
    json_ptr tests = json_make_object();
    for (const auto &tested : tests_) {
        json_ptr entry = json_make_object();
        json_put(entry.get(), "evidence", json_made(json_real(std::min(tested.found.value(), most_evidence))));
        json_put(entry.get(), "decides_at", json_made(json_real(decides_at(tested))));
        json_put(entry.get(), "decided", json_made(json_boolean(tested.decided)));
        json_put(tests.get(), gate_test_name(tested.share.test), std::move(entry));
    }
    json_put(to.get(), "evidence", std::move(tests));
    return to;
}


std::string format_counters(const traffic_counters &of)
{
    return format_count(of.requests, "request", "requests") + ", " + std::to_string(of.failures) + " failed (" +
           format_percent(of.error_rate()) + "), p99 " + format_number(of.quantile_ms(0.99)) + " ms";
}


std::optional<traffic_counters> baseline_of_report(const json_t *report)
{
    std::uint64_t revision = 0;
    const json_t *baseline = json_object_get(report, "baseline");
    return baseline == nullptr ? std::nullopt : counters_from_json(baseline, revision);
}

} // namespace rollout
