// Rollouts simulated on the real gate: no sockets, no clock, fixed seeds. Two tables. False alarms: of revisions within all of
// their limits no more are rolled back than `false_alarm` says. Requests to detection: how many requests of a revision that
// is beyond a limit it takes, against Wald's bound. Exits with 1 if a figure is not what docs/gate.md promises.
#include "worker/rollout/gate.hpp"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <functional>
#include <random>
#include <string>
#include <vector>

namespace {

using namespace rollout;

using generator = std::mt19937_64;

bool all_well = true;

void check(bool good, const std::string &row)
{
    std::printf("%s%s\n", row.c_str(), good ? "" : "   <-- not as promised");
    all_well = all_well && good;
}


template <class... Value>
std::string printed(const char *format, Value... values)
{
    char text[300];
    std::snprintf(text, sizeof(text), format, values...);
    return text;
}


std::uint64_t binomial(generator &random, std::uint64_t of, double share)
{
    return share <= 0 || of == 0 ? 0 : std::binomial_distribution<std::uint64_t>(of, std::min(share, 1.0))(random);
}


/// Latencies as a share for each of some milliseconds.
using latency_shape = std::vector<std::pair<double, double>>; ///< ms, share

/// Their p99 is to be at `p99_ms`: half a per cent is above it.
latency_shape lognormal(double p99_ms)
{
    constexpr double sigma = 0.8;
    const double middle = p99_ms / std::exp(2.326 * sigma);
    latency_shape shape;
    for (double z = -3; z <= 3.3; z += 0.1) {
        const double mass = 0.5 * (std::erf((z + 0.05) / std::sqrt(2)) - std::erf((z - 0.05) / std::sqrt(2)));
        shape.emplace_back(middle * std::exp(sigma * z), mass);
    }
    return shape;
}

latency_shape bimodal(double p99_ms)
{
    return {{p99_ms / 20, 0.90}, {p99_ms, 0.091}, {p99_ms * 40, 0.009}};
}


/// Adds so many requests with such latencies.
void add_latencies(generator &random, const latency_shape &shape, std::uint64_t requests, traffic_counters &to)
{
    double rest = 1;
    for (const auto &[ms, share] : shape) {
        const auto here = binomial(random, requests, rest <= share ? 1 : share / rest);
        to.buckets[latency_bucket(static_cast<std::uint64_t>(ms))] += here;
        requests -= here;
        rest -= share;
    }
    to.buckets[latency_bucket(static_cast<std::uint64_t>(shape.front().first))] += requests;
}


/// What a revision is like.
struct behaviour {
    double error_share = 0;
    latency_shape latencies = {{10, 1}};
    latency_shape cold; ///< of its first hundred requests
    bool has_clumps = false;
};

/// One of fifty sticky clients always fails; of these failures the gateways count one in ten seconds and leave out the others
/// (module/tables/client_table.hpp), each gateway process for itself.
constexpr double clients = 50;
constexpr int clump_processes = 2;


class revision {
  public:
    revision(const behaviour &of, bool has_the_clump) : of_(of), has_the_clump_(has_the_clump && of.has_clumps) {}

    traffic_counters serve(generator &random, std::uint64_t requests, int second)
    {
        traffic_counters made;
        const double shared = of_.has_clumps ? (clients - 1) / clients : 1;
        std::uint64_t answered = has_the_clump_ ? binomial(random, requests, shared) : requests;
        const std::uint64_t of_clump = requests - answered;
        made.failures = binomial(random, answered, of_.error_share);
        if (of_clump != 0 && second % 10 == 0) {
            const auto counted = std::min<std::uint64_t>(of_clump, clump_processes);
            made.failures += counted;
            answered += counted;
        }
        made.left_out = requests - answered;
        made.requests = answered;
        const auto cold = std::min<std::uint64_t>(answered, of_.cold.empty() || served_ >= 100 ? 0 : 100 - served_);
        if (cold != 0) {
            add_latencies(random, of_.cold, cold, made);
        }
        add_latencies(random, of_.latencies, answered - cold, made);
        served_ += answered;
        return made;
    }

  private:
    const behaviour &of_;
    bool has_the_clump_;
    std::uint64_t served_ = 0;
};


/// The example gate of docs/configuration.md with what compares latencies as well, and a watch.
rollout_settings readme_rollout()
{
    rollout_settings made;
    made.steps = {{5, 30}, {25, 60}, {100, 60}};
    made.watch_s = 60;
    made.gate.emplace();
    made.gate->min_requests = 50;
    made.gate->max_error_rate = 0.01;
    made.gate->max_p99_ms = 500;
    made.gate->max_error_ratio_to_blue = 2;
    made.gate->max_p99_ratio_to_blue = 2;
    return made;
}


/// Whether a rollout of it goes back.
bool is_rolled_back(generator &random, const rollout_settings &how, const behaviour &blue_is,
                    const behaviour &green_is, double requests_a_second)
{
    const bool clump_is_greens = std::bernoulli_distribution(0.5)(random);
    revision blue(blue_is, !clump_is_greens);
    revision green(green_is, clump_is_greens);
    std::optional<traffic_counters> baseline;
    auto holds = how.steps;
    if (how.watch_s != 0) {
        holds.push_back({100, how.watch_s});
    }
    int second = 0;
    for (const auto &[weight, hold_s] : holds) {
        gate judge(*how.gate, divide_false_alarm(*how.gate, judged_holds(how)), hold_s,
                   weight == 100 ? baseline : std::nullopt);
        for (std::uint64_t look = 0; look < hold_s; ++look, ++second) {
            const auto requests = std::poisson_distribution<std::uint64_t>(requests_a_second)(random);
            const auto greens = binomial(random, requests, weight / 100.0);
            judge.observe({green.serve(random, greens, second), blue.serve(random, requests - greens, second)});
            if (judge.verdict().is == gate_verdict::kind::bad) {
                return true;
            }
        }
        if (judge.verdict_at_end().is == gate_verdict::kind::bad) {
            return true;
        }
        if (weight != 100) {
            baseline = judge.counted().blue;
        }
    }
    return false;
}


/// The least chance for which so many of so many, or more, are no wonder (1 in 1,000): a row that is above by luck is none.
double at_least(int happened, int of)
{
    const auto tail = [=](double chance) {
        double sum = 0;
        for (int k = happened; k <= of; ++k) {
            sum += std::exp(std::lgamma(of + 1) - std::lgamma(k + 1) - std::lgamma(of - k + 1) +
                            k * std::log(chance) + (of - k) * std::log1p(-chance));
        }
        return sum;
    };
    if (happened == 0) {
        return 0;
    }
    double low = 0;
    double high = static_cast<double>(happened) / of;
    for (int i = 0; i < 60; ++i) {
        const double middle = (low + high) / 2;
        (tail(middle) < 0.001 ? low : high) = middle;
    }
    return low;
}


void false_alarms(int rollouts, const std::vector<double> &rates)
{
    const auto how = readme_rollout();
    std::printf(
        "False alarms: both revisions alike and within the limits; rolled back, of %d rollouts (promised: %g %%)\n",
        rollouts, how.gate->false_alarm * 100);
    struct row {
        std::string name;
        behaviour is;
    };
    std::vector<row> rows;
    for (const double share : {0.0001, 0.0005, 0.001, 0.002, 0.005, 0.01}) {
        rows.push_back({printed("errors %.2f %%", share * 100), {share, {{10, 1}}, {}, false}});
    }
    for (const double part : {0.64, 0.80, 0.91, 0.99}) {
        rows.push_back({printed("lognormal, p99 at %.0f %%", part * 100), {0, lognormal(500 * part), {}, false}});
        rows.push_back({printed("bimodal, p99 at %.0f %%", part * 100), {0, bimodal(500 * part), {}, false}});
    }
    rows.push_back({"failures in clumps", {0.001, {{10, 1}}, {}, true}});
    for (const auto &[name, is] : rows) {
        for (const double rate : rates) {
            generator random(1);
            int rolled_back = 0;
            for (int i = 0; i < rollouts; ++i) {
                rolled_back += is_rolled_back(random, how, is, is, rate) ? 1 : 0;
            }
            check(at_least(rolled_back, rollouts) <= how.gate->false_alarm,
                  printed("  %-28s %6.0f/s  %6.2f %%", name.c_str(), rate, 100.0 * rolled_back / rollouts));
        }
    }
}


/// The median of green's requests until a share above max_error_rate sends it back; it is well for `good_s` before.
double requests_to_detection(double share, double requests_a_second, int good_s, int rollouts)
{
    const auto how = readme_rollout();
    const auto shares = divide_false_alarm(*how.gate, judged_holds(how));
    std::vector<double> needed;
    generator random(2);
    for (int i = 0; i < rollouts; ++i) {
        gate judge(*how.gate, shares, good_s == 0 ? 60 : 1200, std::nullopt);
        double requests = 0;
        for (int second = 0; judge.verdict().is != gate_verdict::kind::bad && second < 1000000; ++second) {
            traffic_counters green;
            green.requests = std::poisson_distribution<std::uint64_t>(requests_a_second)(random);
            green.failures = binomial(random, green.requests, second < good_s ? 0.003 : share);
            green.buckets[10] = green.requests;
            requests += second < good_s ? 0 : static_cast<double>(green.requests);
            judge.observe({green, {}});
        }
        needed.push_back(requests);
    }
    std::nth_element(needed.begin(), needed.begin() + rollouts / 2, needed.end());
    return needed[static_cast<std::size_t>(rollouts / 2)];
}


void detection(int rollouts, const std::vector<double> &rates)
{
    const auto how = readme_rollout();
    const double limit = *how.gate->max_error_rate;
    const double chance = divide_false_alarm(*how.gate, judged_holds(how)).front().false_alarm;
    std::printf("\nRequests until a revision beyond max_error_rate goes back: median of %d, against Wald's bound; "
                "promised: at\n"
                "most 1.6 times (2 at twenty times the limit), or one look's requests more; half as many again if it "
                "breaks late\n",
                rollouts);
    for (const double times : {2.0, 5.0, 20.0}) {
        const double bound = requests_to_see(times * limit, limit, chance);
        for (const double rate : rates) {
            const double most = (times == 20 ? 2 : 1.6) * bound;
            const double first = requests_to_detection(times * limit, rate, 0, rollouts);
            const double late = requests_to_detection(times * limit, rate, 600, rollouts);
            const double look = rate + 3 * std::sqrt(rate);
            check(first <= std::max(most, std::ceil(most / rate) * rate + look) &&
                      late <= 1.5 * std::max(most, first) + look,
                  printed("  %2.0f times, %5.0f/s: %6.0f (%.2f), ten minutes into a hold %6.0f (%.2f)", times, rate,
                          first, first / bound, late, late / bound));
        }
    }
    gate judge(*how.gate, divide_false_alarm(*how.gate, judged_holds(how)), 30, std::nullopt);
    int all = 0;
    for (; judge.verdict().is != gate_verdict::kind::bad; ++all) {
        traffic_counters green;
        green.requests = green.failures = 1;
        green.buckets[10] = 1;
        traffic_counters blue;
        blue.requests = 19;
        blue.buckets[10] = 19;
        judge.observe({green, blue});
    }
    check(all <= 4, printed("  every request fails: %d", all));
}


/// `count` is called with what a second of green's requests came to.
bool goes_back(const rollout_settings &how, double seconds, const std::function<gate_window(generator &)> &count)
{
    generator random(3);
    gate judge(*how.gate, divide_false_alarm(*how.gate, judged_holds(how)), 60, std::nullopt);
    for (int second = 0; second < seconds && judge.verdict().is != gate_verdict::kind::bad; ++second) {
        judge.observe(count(random));
    }
    return judge.verdict().is == gate_verdict::kind::bad;
}


/// Green never answers every second request, and clients give up after half a second.
void hanging()
{
    std::printf("\nGreen hangs on every second request, clients give up after 0.5 s\n");
    const auto count = [](generator &random) {
        gate_window made;
        const auto requests = std::poisson_distribution<std::uint64_t>(10)(random);
        const auto hang = binomial(random, requests, 0.5);
        made.green.requests = requests - hang;
        made.green.buckets[10] = requests - hang;
        made.green.abandoned[latency_bucket(500)] = hang;
        made.blue.requests = 90;
        made.blue.buckets[10] = 90;
        return made;
    };
    auto how = readme_rollout();
    check(goes_back(how, 30, count), "  max_p99_ms 500");
    how.gate->max_p99_ms.reset();
    how.gate->max_p99_ratio_to_blue.reset();
    check(goes_back(how, 30, count), "  no limit of latency");
}


/// The chance that a rollout is rolled back, over green's true share of errors; blue's is 0.3 %.
void curve(int rollouts)
{
    const auto how = readme_rollout();
    std::printf("\nRolled back over green's error share, blue's 0.3 %%, 100 requests a second; in the last column by "
                "thresholds\n"
                "that are compared each second from min_requests on\n");
    for (const double share : {0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.05, 0.1}) {
        generator random(4);
        generator other(4);
        int ours = 0;
        int fixed = 0;
        for (int i = 0; i < rollouts; ++i) {
            ours += is_rolled_back(random, how, {0.003, {{10, 1}}, {}, false}, {share, {{10, 1}}, {}, false}, 100)
                        ? 1
                        : 0;
            bool back = false;
            for (const auto &[weight, hold_s] : how.steps) {
                tried green;
                tried blue;
                for (std::uint64_t look = 0; look < hold_s && !back; ++look) {
                    const auto requests = std::poisson_distribution<std::uint64_t>(100)(other);
                    const auto greens = binomial(other, requests, weight / 100.0);
                    green.requests += greens;
                    green.failures += binomial(other, greens, share);
                    blue.requests += requests - greens;
                    blue.failures += binomial(other, requests - greens, 0.003);
                    const double least_blue = blue.requests == 0 ? 1 : 1.0 / static_cast<double>(blue.requests);
                    back = green.requests >= 50 &&
                           (green.share() > 0.01 ||
                            (blue.requests >= 50 && green.share() > 2 * std::max(blue.share(), least_blue)));
                }
            }
            fixed += back ? 1 : 0;
        }
        std::printf("  %5.2f %%  %5.1f %%  %5.1f %%\n", share * 100, 100.0 * ours / rollouts,
                    100.0 * fixed / rollouts);
    }
}


/// 64 rollouts that are looked at: what a look at one costs.
void cost()
{
    const auto how = readme_rollout();
    const auto shares = divide_false_alarm(*how.gate, judged_holds(how));
    std::vector<gate> all(64, gate(*how.gate, shares, 60, std::nullopt));
    generator random(5);
    const auto shape = lognormal(300);
    gate_window counted;
    counted.green.requests = counted.blue.requests = 1000;
    add_latencies(random, shape, 1000, counted.green);
    add_latencies(random, shape, 1000, counted.blue);
    constexpr int looks = 50;
    const auto start = std::chrono::steady_clock::now();
    for (int look = 0; look < looks; ++look) {
        for (auto &one : all) {
            one.observe(counted);
            all_well = all_well && one.verdict().is != gate_verdict::kind::bad;
        }
    }
    const std::chrono::duration<double, std::micro> took = std::chrono::steady_clock::now() - start;
    std::printf("\nA look at one of 64 rollouts: %.0f us\n", took.count() / (looks * 64));
}

} // namespace


int main(int argc, char **argv)
try {
    CLI::App app{"Simulates rollouts on the gate's real rule"};
    int rollouts = 1000;
    std::vector<double> rates = {1, 10, 100, 1000};
    app.add_option("--rollouts", rollouts, "of a row; 10000 for the figures in docs/gate.md")
        ->check(CLI::Range(10, 1000000));
    app.add_option("--rate", rates, "requests a second");
    app.require_subcommand(1);
    app.add_subcommand("false-alarms", "how many good revisions are rolled back")->callback([&] {
        false_alarms(rollouts, rates);
    });
    app.add_subcommand("detection", "how many requests it takes until a bad one is")->callback([&] {
        detection(rollouts, rates);
        hanging();
        cost();
    });
    app.add_subcommand("curve", "the chance of a rollback over the true share of errors")->callback([&] {
        curve(rollouts);
    });
    CLI11_PARSE(app, argc, argv);
    return all_well ? 0 : 1;
} catch (const std::exception &error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
}
