#include "ctl/base/durations.hpp"

#include "common/base/text.hpp"

#include <array>
#include <cstdint>

namespace rollout::ctl {

namespace {

constexpr std::int64_t second_ms = 1000;
constexpr std::int64_t minute_ms = 60 * second_ms;
constexpr std::int64_t hour_ms = 60 * minute_ms;
constexpr std::int64_t day_ms = 24 * hour_ms;
constexpr std::int64_t longest_ms = 366 * day_ms;

struct unit {
    std::string_view name;
    std::int64_t ms;
};

// `ms` before `m` and `s`: the first match is used.
constexpr std::array<unit, 5> units = {
    {{"ms", 1}, {"s", second_ms}, {"m", minute_ms}, {"h", hour_ms}, {"d", day_ms}}};


std::string two_units(std::int64_t whole, std::string_view unit_name, std::int64_t rest, std::string_view rest_name)
{
    std::string text = std::to_string(whole) + ' ' + std::string(unit_name);
    if (rest != 0) {
        text += ' ' + std::to_string(rest) + ' ' + std::string(rest_name);
    }
    return text;
}

} // namespace


std::optional<std::chrono::milliseconds> read_duration(std::string_view text) noexcept
{
    std::int64_t factor = second_ms;
    for (const auto &[name, ms] : units) {
        if (text.ends_with(name)) {
            factor = ms;
            text.remove_suffix(name.size());
            break;
        }
    }
    std::int64_t count = 0;
    if (!read_number(text, count) || count < 0 || count > longest_ms / factor) {
        return std::nullopt;
    }
    return std::chrono::milliseconds(count * factor);
}


std::string format_duration(std::chrono::milliseconds time)
{
    const std::int64_t ms = time.count();
    if (ms <= 0) {
        return "0 s";
    }
    if (ms < 10 * second_ms) {
        const std::int64_t tenths = (ms + 50) / 100;
        return std::to_string(tenths / 10) + (tenths % 10 != 0 ? "." + std::to_string(tenths % 10) : "") + " s";
    }
    if (ms < minute_ms) {
        return std::to_string(ms / second_ms) + " s";
    }
    if (ms < hour_ms) {
        return two_units(ms / minute_ms, "min", ms % minute_ms / second_ms, "s");
    }
    if (ms < day_ms) {
        return two_units(ms / hour_ms, "h", ms % hour_ms / minute_ms, "min");
    }
    return two_units(ms / day_ms, "d", ms % day_ms / hour_ms, "h");
}

} // namespace rollout::ctl
