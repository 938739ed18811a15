// Evidence that a share is above its limit, valid however often one looks: a test martingale. Of requests that keep to the
// limit the chance that the evidence ever reaches 1/a is at most a (Ville's inequality; Wald's sequential test with a mixture
// of alternatives: Howard, Ramdas, McAuliffe, Sekhon, "Time-uniform, nonparametric, nonasymptotic confidence sequences", 2021).
// No clock and no I/O.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace rollout {

/// Requests, and how many of them were what is tested for: failed, or were slow.
struct tried {
    std::uint64_t requests = 0;
    std::uint64_t failures = 0;

    double share() const noexcept
    {
        return requests == 0 ? 0 : static_cast<double>(failures) / static_cast<double>(requests);
    }
};

/// A mixture over alternatives, shares above the limit, and over the look from which on they hold: requests that were good
/// before do not have to be paid back by a revision that breaks later.
class evidence {
  public:
    /// `planned_looks`: how many are expected, at least 1. More may come.
    explicit evidence(std::uint64_t planned_looks) noexcept;

    /// A look at what came since the last one, against a limit of 0 < `limit` < 1. The limit may be another at each look, if it
    /// was known before the counts were.
    void add_share(double limit, const tried &counted) noexcept;

    /// The same for green's share being at most `times` blue's, over the same time. By the failures alone: of those of both,
    /// green's part is to be times * n_green / (times * n_green + n_blue) at most.
    void add_ratio(double times, const tried &green, const tried &blue) noexcept;

    /// Finite, never negative; 1 says nothing.
    double value() const noexcept { return value_; }

    /// What came since the look from which on it seems to be so.
    tried since_it_began() const noexcept;

  private:
    static constexpr std::size_t alternatives = 64;

    template <class Factor>
    void add(const tried &green, Factor log_factor_of) noexcept;

    double weight_of_start() const noexcept;
    void set_limit(double limit) noexcept;

    double planned_looks_;
    double looks_ = 0;
    double not_begun_ = 1; ///< the weight of the starts that are to come
    double value_ = 1;
    tried all_;
    double limit_ = 0; ///< that `log_bad_` and `log_good_` are for: the factors of a failure and of another request
    std::array<double, alternatives> log_bad_{};
    std::array<double, alternatives> log_good_{};
    std::array<double, alternatives> mixture_{}; ///< over the starts so far, of each alternative
    std::array<double, alternatives>
        log_excess_{}; ///< since the likeliest start of each alternative, which is at `began_`
    std::array<tried, alternatives> began_{};
};

/// Bounds of a share by what was counted: the chance that the true one is ever outside, however often one looks, is at most
/// `chance` (Robbins' mixture over all shares).
double share_at_most(const tried &counted, double chance) noexcept;
double share_at_least(const tried &counted, double chance) noexcept;

/// Whether share_at_most is at most that: cheaper.
bool is_at_most(const tried &counted, double share, double chance) noexcept;

/// The requests that it takes, about, until a share is found to be above the limit with that chance of a false alarm: Wald's
/// bound. Infinite if it is not above.
double requests_to_see(double share, double limit, double chance) noexcept;

/// The least share that so many requests can show to be above the limit; more than 1: none.
double share_to_be_seen(double requests, double limit, double chance) noexcept;

} // namespace rollout
