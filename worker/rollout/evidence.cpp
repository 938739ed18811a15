#include "worker/rollout/evidence.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace rollout {

namespace {

/// A breach from the very beginning gets a part of the weight; most is spread over the planned checks, and a little
/// over those beyond: a revision that breaks late in a long hold is detected after at most half as many requests
/// again.
constexpr double weight_of_first = 0.25;
constexpr double weight_of_planned = 0.7;
constexpr double weight_beyond = 0.05;

/// Beyond any chance that may be configured, and far from what a double cannot hold.
constexpr double most = 1e100;

/// The mixture detects a share later than a test that knows the share would, by about this factor.
constexpr double cost_of_mixture = 1.4;

constexpr double greatest_ratio = 300; ///< between an alternative and the limit

constexpr int halvings = 40;


double real(std::uint64_t number) noexcept
{
    return static_cast<double>(number);
}


/// Returns a term of a logarithmic likelihood: 0 * log(0) is 0.
double times_log(double times, double of) noexcept
{
    return times == 0 ? 0 : times * std::log(of);
}


/// Returns the Kullback-Leibler divergence of a share from another.
double divergence(double share, double from) noexcept
{
    return times_log(share, share / from) + times_log(1 - share, (1 - share) / (1 - from));
}


/// Like std::lgamma, but thread-safe: that may share its sign with other threads.
double log_gamma(double of) noexcept
{
    int sign = 0;
    return ::lgamma_r(of, &sign);
}


/// Tells which shares are still possible, by the evidence against each, on either side.
class possible_shares {
  public:
    possible_shares(const tried &counted, double chance) noexcept
        : bad_(real(counted.failures)), good_(real(counted.requests) - bad_),
          log_of_all_(log_gamma(bad_ + 1) + log_gamma(good_ + 1) - log_gamma(bad_ + good_ + 2)),
          needed_(-std::log(chance))
    {
    }

    bool hold(double share) const noexcept
    {
        return log_of_all_ - times_log(bad_, share) - times_log(good_, 1 - share) < needed_;
    }

    /// Returns the last possible share between one that is possible and one that is not.
    double border(double possible, double impossible) const noexcept
    {
        for (int i = 0; i < halvings; ++i) {
            const double middle = (possible + impossible) / 2;
            (hold(middle) ? possible : impossible) = middle;
        }
        return possible;
    }

  private:
    double bad_;
    double good_;
    double log_of_all_;
    double needed_;
};


/// Returns ratios to the limit, evenly spaced in their logarithms.
template <std::size_t size>
std::array<double, size> spread_ratios() noexcept
{
    std::array<double, size> ratios{};
    for (std::size_t i = 0; i < size; ++i) {
        ratios[i] = std::exp((static_cast<double>(i) + 0.5) / size * std::log(greatest_ratio));
    }
    return ratios;
}


template <std::size_t size>
std::array<double, size> logs_of(std::array<double, size> numbers) noexcept
{
    for (auto &number : numbers) {
        number = std::log(number);
    }
    return numbers;
}

} // namespace


evidence::evidence(std::uint64_t planned_looks) noexcept : planned_looks_(std::max(1.0, real(planned_looks))) {}


double evidence::weight_of_start() const noexcept
{
    if (looks_ == 0) {
        return weight_of_first;
    }
    if (looks_ <= planned_looks_) {
        return weight_of_planned / planned_looks_;
    }
    // Each stretch beyond the plan is twice as long as the one before, with half of the remaining weight.
    const double stretch = std::floor(std::log2(looks_ / planned_looks_));
    return weight_beyond / std::exp2(2 * stretch + 1) / planned_looks_;
}


template <class Factor>
void evidence::add(const tried &green, Factor log_factor_of) noexcept
{
    const double started = std::min(weight_of_start(), not_begun_);
    looks_ += 1;
    not_begun_ -= started;
    double sum = 0;
    for (std::size_t i = 0; i < alternatives; ++i) {
        const double factor = log_factor_of(i);
        if (log_excess_[i] <= 0) {
            log_excess_[i] = 0;
            began_[i] = all_;
        }
        log_excess_[i] = std::min(log_excess_[i] + factor, most);
        mixture_[i] = std::min((mixture_[i] + started) * std::exp(std::min(factor, 200.0)), most);
        sum += mixture_[i];
    }
    all_.requests += green.requests;
    all_.failures += green.failures;
    value_ = std::min(sum / alternatives + not_begun_, most);
}


/// The alternatives are evenly spaced in log(share), from the limit to 1.
void evidence::set_limit(double limit) noexcept
{
    if (limit == limit_) {
        return;
    }
    limit_ = limit;
    const double log_limit = std::log(limit);
    const double log_rest = std::log1p(-limit);
    for (std::size_t i = 0; i < alternatives; ++i) {
        const double log_share = (1 - (static_cast<double>(i) + 0.5) / alternatives) * log_limit;
        log_bad_[i] = log_share - log_limit;
        log_good_[i] = std::log1p(-std::exp(log_share)) - log_rest;
    }
}


void evidence::add_share(double limit, const tried &counted) noexcept
{
    if (counted.requests == 0 || !(limit > 0) || limit >= 1) {
        return;
    }
    const double bad = real(std::min(counted.failures, counted.requests));
    const double good = real(counted.requests) - bad;
    set_limit(limit);
    add(counted, [&](std::size_t i) { return bad * log_bad_[i] + good * log_good_[i]; });
}


void evidence::add_ratio(double times, const tried &green, const tried &blue) noexcept
{
    if (green.requests == 0 || blue.requests == 0 || !(times > 0)) {
        return;
    }
    static const auto ratios = spread_ratios<alternatives>();
    static const auto log_ratios = logs_of(ratios);
    const double allowed = times * real(green.requests);
    const double others = real(blue.requests);
    const double log_all = std::log(allowed + others);
    const double both = real(green.failures) + real(blue.failures);
    add(green, [&](std::size_t i) {
        const double log_less = log_all - std::log(allowed * ratios[i] + others);
        return real(green.failures) * log_ratios[i] + both * log_less;
    });
}


tried evidence::since_it_began() const noexcept
{
    const auto likeliest = static_cast<std::size_t>(std::ranges::max_element(mixture_) - mixture_.begin());
    return {all_.requests - began_[likeliest].requests, all_.failures - began_[likeliest].failures};
}


double share_at_most(const tried &counted, double chance) noexcept
{
    if (counted.requests == 0 || counted.failures >= counted.requests) {
        return 1;
    }
    return possible_shares(counted, chance).border(counted.share(), 1);
}


double share_at_least(const tried &counted, double chance) noexcept
{
    if (counted.failures == 0) {
        return 0;
    }
    return possible_shares(counted, chance).border(std::min(1.0, counted.share()), 0);
}


bool is_at_most(const tried &counted, double share, double chance) noexcept
{
    return counted.requests != 0 && counted.share() < share && !possible_shares(counted, chance).hold(share);
}


double requests_to_see(double share, double limit, double chance) noexcept
{
    if (share <= limit) {
        return std::numeric_limits<double>::infinity();
    }
    return -std::log(chance) / divergence(std::min(share, 1.0), limit);
}


double share_to_be_seen(double requests, double limit, double chance) noexcept
{
    const auto is_seen = [=](double share) {
        return cost_of_mixture * requests_to_see(share, limit, chance) <= requests;
    };
    if (limit >= 1 || !is_seen(1)) {
        return 2;
    }
    double unseen = limit;
    double seen = 1;
    for (int i = 0; i < halvings; ++i) {
        const double middle = (unseen + seen) / 2;
        (is_seen(middle) ? seen : unseen) = middle;
    }
    return seen;
}

} // namespace rollout
