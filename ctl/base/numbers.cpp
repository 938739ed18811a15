#include "ctl/base/numbers.hpp"

#include <cmath>
#include <cstdio>

namespace rollout::ctl {

std::string format_count(std::uint64_t count)
{
    std::string digits = std::to_string(count);
    for (std::size_t position = digits.size(); position > 3; position -= 3) {
        digits.insert(position - 3, ",");
    }
    return digits;
}


std::string format_number(double value)
{
    if (!std::isfinite(value)) {
        return "?";
    }
    char text[64];
    std::snprintf(text, sizeof(text), std::fabs(value) >= 1000 ? "%.0f" : "%.3g", value);
    return text;
}


std::string format_percent(double share)
{
    return format_number(share * 100) + " %";
}

} // namespace rollout::ctl
