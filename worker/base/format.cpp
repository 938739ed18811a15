#include "worker/base/format.hpp"

#include <array>
#include <cmath>
#include <cstdio>
#include <system_error>

namespace rollout {

std::string shown(const std::filesystem::path &path)
{
    return clean_text(path.native(), 400);
}


std::string format_size(std::uint64_t bytes)
{
    if (bytes < 1024) {
        return format_count(bytes, "byte", "bytes");
    }
    constexpr std::array units{"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    std::size_t unit = 0;
    double size = static_cast<double>(bytes) / 1024;
    while (size >= 1023.95 && unit + 1 < units.size()) {
        size /= 1024;
        ++unit;
    }
    std::array<char, 32> text{};
    std::snprintf(text.data(), text.size(), "%.1f %s", size, units[unit]);
    return text.data();
}


std::string format_duration(std::chrono::milliseconds time)
{
    const auto count = static_cast<long long>(time.count());
    if (count < 1000) {
        return std::to_string(count) + " ms";
    }
    std::array<char, 32> text{};
    std::snprintf(text.data(), text.size(), count % 1000 == 0 ? "%.0f s" : "%.1f s",
                  static_cast<double>(count) / 1000);
    return text.data();
}


std::string format_count(std::uint64_t count, std::string_view one, std::string_view many)
{
    std::string words = std::to_string(count);
    words += ' ';
    words += count == 1 ? one : many;
    return words;
}


std::string format_number(double value)
{
    const double size = std::abs(value);
    char text[40];
    if (size >= 1000 && size < 1e15) {
        std::snprintf(text, sizeof(text), "%.0f", value);
    } else if (size >= 1e-12 && size < 1e-4) {
        std::snprintf(text, sizeof(text), "%.*f", 3 - static_cast<int>(std::floor(std::log10(size))), value);
        std::string_view digits = text;
        digits.remove_suffix(digits.size() - 1 - digits.find_last_not_of('0'));
        return std::string(digits);
    } else {
        std::snprintf(text, sizeof(text), "%.4g", value);
    }
    return text;
}


std::string format_percent(double share)
{
    return format_number(share * 100) + " %";
}


std::string format_errno(int error)
{
    return std::generic_category().message(error);
}

} // namespace rollout
