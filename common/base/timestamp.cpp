#include "common/base/timestamp.hpp"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <ctime>

namespace rollout {

namespace {

/// 9999-12-31T23:59:59.999999Z.
constexpr std::int64_t last_timestamp_us = 253402300799999999;

} // namespace


std::string timestamp(std::int64_t since_1970_us)
{
    using namespace std::chrono;
    const sys_time<microseconds> moment{microseconds(since_1970_us)};
    const auto day = floor<days>(moment);
    const year_month_day date(day);
    const hh_mm_ss<microseconds> time(moment - day);
    std::string text = "0000-00-00T00:00:00.000000Z";
    const auto put = [&text](std::size_t at_character, std::size_t digits, auto value) {
        for (; digits != 0; value /= 10) {
            text[at_character + --digits] = static_cast<char>('0' + value % 10);
        }
    };
    put(0, 4, static_cast<int>(date.year()));
    put(5, 2, static_cast<unsigned>(date.month()));
    put(8, 2, static_cast<unsigned>(date.day()));
    put(11, 2, time.hours().count());
    put(14, 2, time.minutes().count());
    put(17, 2, time.seconds().count());
    put(20, 6, time.subseconds().count());
    return text;
}


std::int64_t timestamp_us(std::string_view text) noexcept
{
    static constexpr std::string_view pattern = "0000-00-00T00:00:00.000000Z";
    const bool fits = std::equal(text.begin(), text.end(), pattern.begin(), pattern.end(), [](char c, char wanted) {
        return wanted == '0' ? c >= '0' && c <= '9' : c == wanted;
    });
    if (!fits) {
        return 0;
    }
    const auto number = [text](std::size_t position, std::size_t digits) {
        int value = 0;
        std::from_chars(text.data() + position, text.data() + position + digits, value);
        return value;
    };
    std::tm parts = {};
    parts.tm_year = number(0, 4) - 1900;
    parts.tm_mon = number(5, 2) - 1;
    parts.tm_mday = number(8, 2);
    parts.tm_hour = number(11, 2);
    parts.tm_min = number(14, 2);
    parts.tm_sec = number(17, 2);
    const auto us = static_cast<std::int64_t>(timegm(&parts)) * 1000000 + number(20, 6);
    return us < 0 || us > last_timestamp_us ? 0 : us;
}

} // namespace rollout
