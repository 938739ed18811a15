#include "worker/rollout/gate.hpp"

#include "worker/words.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>

namespace rollout {

namespace {

constexpr double far_above_factor = 2;
constexpr double far_above_margin = 0.1;
constexpr double far_above_nothing = 0.5;

std::string number_words(double value)
{
    char text[40];
    std::snprintf(text, sizeof(text), "%.4g", value);
    return text;
}


std::string percent_words(double share)
{
    return number_words(share * 100) + " %";
}


bool client_errors_are_greens(const gate_window &window)
{
    const double bound = window.blue.requests == 0
                             ? far_above_nothing
                             : far_above_factor * window.blue.client_error_rate() + far_above_margin;
    return window.green.client_error_rate() > bound;
}


/// `green` is over `times` blue's; empty where it is not, or there is nothing to compare with.
std::string ratio_fault(const char *name, const std::optional<double> &times, double green, double blue,
                        const std::string &what)
{
    if (!times || green <= *times * blue) {
        return {};
    }
    return what + " and " + name + " is " + number_words(*times);
}


json_ptr counters_report(const traffic_counters &from)
{
    json_ptr to = json_make_object();
    json_put(to.get(), "requests", json_make_number(from.requests));
    json_put(to.get(), "failures", json_make_number(from.failures));
    json_put(to.get(), "client_errors", json_make_number(from.client_errors));
    json_put(to.get(), "error_rate", json_made(json_real(from.error_rate())));
    json_put(to.get(), "p99_ms", json_made(json_real(from.quantile_ms(0.99))));
    json_put(to.get(), "mean_ms", json_made(json_real(std::round(from.mean_ms() * 100) / 100)));
    return to;
}

} // namespace


gate_verdict judge(const gate_settings &limits, const gate_window &window)
{
    traffic_counters green = window.green;
    const bool enough = green.requests >= limits.min_requests && green.requests != 0;
    const char *of = " failed";
    if (green.client_errors != 0 && enough && client_errors_are_greens(window)) {
        green.failures += green.client_errors;
        of = " failed or were refused by the server (4xx), far more than blue's,";
    }
    const auto bad = [](std::string why) { return gate_verdict{gate_verdict::kind::bad, std::move(why)}; };
    const auto failed = [&green, of] {
        return std::to_string(green.failures) + " of green's " + count_words(green.requests, "request", "requests") +
               of + " (" + percent_words(green.error_rate()) + ")";
    };

    if (limits.max_error_rate) {
        const auto least = static_cast<double>(std::max(green.requests, limits.min_requests));
        if (static_cast<double>(green.failures) > *limits.max_error_rate * least) {
            return bad(failed() + " and max_error_rate is " + percent_words(*limits.max_error_rate));
        }
    }
    if (!enough) {
        return {gate_verdict::kind::undecided, "green has had " + std::to_string(green.requests) + " of the " +
                                                   std::to_string(limits.min_requests) + " requests of min_requests"};
    }

    const double p99 = green.quantile_ms(0.99);
    const double mean = green.mean_ms();
    if (limits.max_p99_ms && p99 > *limits.max_p99_ms) {
        return bad("green's p99 is " + number_words(p99) + " ms and max_p99_ms is " +
                   number_words(*limits.max_p99_ms));
    }
    if (limits.max_mean_ms && mean > *limits.max_mean_ms) {
        return bad("green's mean is " + number_words(mean) + " ms and max_mean_ms is " +
                   number_words(*limits.max_mean_ms));
    }

    const traffic_counters &blue = window.blue;
    if (blue.requests >= std::max<std::uint64_t>(limits.min_requests, 1)) {
        // A blue without failures is taken for one that fails once: no ratio judges by nothing.
        const double blue_rate = std::max(blue.error_rate(), 1.0 / static_cast<double>(blue.requests));
        const double blue_p99 = std::max(blue.quantile_ms(0.99), 1.0);
        const double blue_mean = std::max(blue.mean_ms(), 1.0);
        for (const auto &fault :
             {ratio_fault("max_error_ratio_to_blue", limits.max_error_ratio_to_blue, green.error_rate(), blue_rate,
                          failed() + ", blue's " + percent_words(blue.error_rate())),
              ratio_fault("max_p99_ratio_to_blue", limits.max_p99_ratio_to_blue, p99, blue_p99,
                          "green's p99 is " + number_words(p99) + " ms, blue's " + number_words(blue_p99) + " ms"),
              ratio_fault("max_mean_ratio_to_blue", limits.max_mean_ratio_to_blue, mean, blue_mean,
                          "green's mean is " + number_words(mean) + " ms, blue's " + number_words(blue_mean) +
                              " ms")}) {
            if (!fault.empty()) {
                return bad(fault);
            }
        }
    }
    return {gate_verdict::kind::good, counters_words(window.green)};
}


std::string counters_words(const traffic_counters &of)
{
    return count_words(of.requests, "request", "requests") + ", " + std::to_string(of.failures) + " failed (" +
           percent_words(of.error_rate()) + "), p99 " + number_words(of.quantile_ms(0.99)) + " ms";
}


json_ptr gate_report(const gate_settings &limits, const gate_window &window, const gate_verdict &verdict,
                     unsigned weight)
{
    json_ptr to = json_make_object();
    json_put(to.get(), "weight", json_make_number(weight));
    json_put(to.get(), "verdict",
             verdict.is == gate_verdict::kind::bad    ? "bad"
             : verdict.is == gate_verdict::kind::good ? "good"
                                                      : "undecided");
    json_put(to.get(), "reason", verdict.reason);
    json_put(to.get(), "green", counters_report(window.green));
    json_put(to.get(), "blue", counters_report(window.blue));
    json_ptr bounds = json_make_object();
    json_put(bounds.get(), "min_requests", json_make_number(limits.min_requests));
    for (const auto &[name, limit, most] : gate_limits) {
        if (limits.*limit) {
            json_put(bounds.get(), name, json_made(json_real(*(limits.*limit))));
        }
    }
    json_put(to.get(), "limits", std::move(bounds));
    return to;
}

} // namespace rollout
