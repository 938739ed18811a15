// Evidence that a share is above its limit, valid however often it is checked: a test martingale. If requests keep to
// the limit, the chance that the evidence ever reaches 1/a is at most a (Ville's inequality; Wald's sequential test
// with a mixture of alternatives: Howard, Ramdas, McAuliffe, Sekhon, "Time-uniform, nonparametric, nonasymptotic
// confidence sequences", 2021). No clock and no I/O.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace rollout {

/// Requests, and how many of them count as failures of the test: because they failed, or were slow.
struct tried {
    std::uint64_t requests = 0;
    std::uint64_t failures = 0;

    double share() const noexcept
    {
        return requests == 0 ? 0 : static_cast<double>(failures) / static_cast<double>(requests);
    }
};

/// A mixture over alternatives, that is, over shares above the limit and over the check from which on each holds: a
/// revision that breaks late does not profit from requests that were good before.
class evidence {
  public:
    /// `planned_looks`: how many checks are expected, at least 1. More may follow.
    explicit evidence(std::uint64_t planned_looks) noexcept;

    /// Adds a check of the requests since the last one, against a limit of 0 < `limit` < 1. The limit may differ from
    /// check to check, if it was known before the counts were.
    void add_share(double limit, const tried &counted) noexcept;

    /// Adds the same for the hypothesis that green's share is at most `times` blue's over the same time. Uses the
    /// failures alone: of the failures of both, green's part must be at most times * n_green / (times * n_green +
    /// n_blue).
    void add_ratio(double times, const tried &green, const tried &blue) noexcept;

    /// Returns the evidence: finite, never negative; 1 means none either way.
    double value() const noexcept { return value_; }

    /// Returns the counts since the check at which the breach most likely began.
    tried since_it_began() const noexcept;

  private:
    static constexpr std::size_t alternatives = 64;

    template <class Factor>
    void add(const tried &green, Factor log_factor_of) noexcept;

    double weight_of_start() const noexcept;
    void set_limit(double limit) noexcept;

    double planned_looks_;
    double looks_ = 0;
    double not_begun_ = 1; ///< the weight of the starts that are still to come
    double value_ = 1;
    tried all_;
    double limit_ = 0; ///< the one that `log_bad_` and `log_good_` are for: the factors of a failure and of a success
    std::array<double, alternatives> log_bad_{};
    std::array<double, alternatives> log_good_{};
    std::array<double, alternatives> mixture_{}; ///< of each alternative, summed over the starts so far
    std::array<double, alternatives>
        log_excess_{}; ///< since the likeliest start of each alternative, which is at `began_`
    std::array<tried, alternatives> began_{};
};

/// Upper and lower bound of a share, given what was counted: the chance that the true share is ever outside, however
/// often it is checked, is at most `chance` (Robbins' mixture over all shares).
double share_at_most(const tried &counted, double chance) noexcept;
double share_at_least(const tried &counted, double chance) noexcept;

/// Returns whether share_at_most is at most `share`, at less cost.
bool is_at_most(const tried &counted, double share, double chance) noexcept;

/// Returns about how many requests it takes until a share is found to be above the limit with that chance of a false
/// alarm: Wald's bound. Infinite if the share is not above the limit.
double requests_to_see(double share, double limit, double chance) noexcept;

/// Returns the least share that so many requests can show to be above the limit; more than 1 if there is none.
double share_to_be_seen(double requests, double limit, double chance) noexcept;

} // namespace rollout
