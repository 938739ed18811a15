#include "common/names.hpp"

#include "common/limits.hpp"

#include <sys/random.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <stdexcept>

namespace rollout {

namespace {

constexpr bool is_alphanumeric(char c) noexcept
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}


template <std::size_t size>
std::array<std::uint8_t, size> random_bytes()
{
    std::array<std::uint8_t, size> bytes;
    // Up to 256 bytes arrive whole once the kernel's source is seeded (getrandom(2)).
    if (getrandom(bytes.data(), size, 0) != static_cast<ssize_t>(size)) {
        throw std::runtime_error("the system gave no random bytes");
    }
    return bytes;
}


void append_hex(std::string &out, const std::uint8_t *bytes, std::size_t count)
{
    static constexpr char digits[] = "0123456789abcdef";
    for (std::size_t i = 0; i < count; ++i) {
        out.push_back(digits[bytes[i] >> 4]);
        out.push_back(digits[bytes[i] & 0x0f]);
    }
}

} // namespace


bool is_model_id(std::string_view text) noexcept
{
    return !text.empty() && text.size() <= limits::model_id_bytes && is_alphanumeric(text.front()) &&
           text.find("..") == std::string_view::npos && std::all_of(text.begin(), text.end(), [](char c) {
               return is_alphanumeric(c) || c == '.' || c == '_' || c == '-';
           });
}


bool is_task_id(std::string_view text) noexcept
{
    return !text.empty() && text.size() <= limits::task_id_bytes &&
           std::all_of(text.begin(), text.end(), [](char c) { return is_alphanumeric(c) || c == '_' || c == '-'; });
}


std::string new_task_id()
{
    using namespace std::chrono;
    const auto now = duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count();

    auto bytes = random_bytes<16>();
    for (int i = 0; i < 6; ++i) {
        bytes[i] = static_cast<std::uint8_t>(now >> (8 * (5 - i)));
    }
    bytes[6] = static_cast<std::uint8_t>(0x70 | (bytes[6] & 0x0f));
    bytes[8] = static_cast<std::uint8_t>(0x80 | (bytes[8] & 0x3f));

    std::string id;
    id.reserve(36);
    std::size_t at = 0;
    for (const std::size_t group : {4, 2, 2, 2, 6}) {
        if (at != 0) {
            id.push_back('-');
        }
        append_hex(id, bytes.data() + at, group);
        at += group;
    }
    return id;
}


std::string new_instance_id()
{
    const auto bytes = random_bytes<16>();
    std::string id;
    append_hex(id, bytes.data(), bytes.size());
    return id;
}

} // namespace rollout
