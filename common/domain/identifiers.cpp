#include "common/domain/identifiers.hpp"

#include "common/domain/limits.hpp"

#include <pthread.h>
#include <sys/random.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <stdexcept>

namespace rollout {

namespace {

constexpr bool is_alphanumeric(char c) noexcept
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}


/// Random bytes of the kernel, fetched for sixteen ids at once. Each thread has its own, and so has a forked process.
class random_bytes {
  public:
    std::array<std::uint8_t, 16> take()
    {
        if (left_ == 0 || of_ != forks()) {
            // Up to 256 bytes are returned whole once the kernel's source is seeded (getrandom(2)).
            if (getrandom(bytes_.data(), bytes_.size(), 0) != static_cast<ssize_t>(bytes_.size())) {
                throw std::runtime_error("the system gave no random bytes");
            }
            of_ = forks();
            left_ = bytes_.size();
        }
        std::array<std::uint8_t, 16> some;
        left_ -= some.size();
        std::copy_n(bytes_.begin() + static_cast<std::ptrdiff_t>(left_), some.size(), some.begin());
        return some;
    }

  private:
    /// How often this process is the child of a fork since the first call. The process id would be a system call.
    static unsigned forks()
    {
        static std::atomic<unsigned> count{0};
        static const int failure = pthread_atfork(nullptr, nullptr, [] { ++count; });
        if (failure != 0) {
            throw std::runtime_error("the system cannot tell a process of its forks");
        }
        return count.load(std::memory_order_relaxed);
    }

    std::array<std::uint8_t, 256> bytes_{};
    std::size_t left_ = 0;
    unsigned of_ = 0; ///< how many forks there were
};


thread_local random_bytes ahead;


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
    constexpr std::int64_t ns_per_ms = 1000000;
    const std::int64_t ns = duration_cast<nanoseconds>(system_clock::now().time_since_epoch()).count();
    const std::int64_t ms = ns / ns_per_ms;
    const std::int64_t fraction = ns % ns_per_ms * 4096 / ns_per_ms; // of the millisecond (section 6.2, method 3)

    auto bytes = ahead.take();
    for (int i = 0; i < 6; ++i) {
        bytes[i] = static_cast<std::uint8_t>(ms >> (8 * (5 - i)));
    }
    bytes[6] = static_cast<std::uint8_t>(0x70 | fraction >> 8);
    bytes[7] = static_cast<std::uint8_t>(fraction);
    bytes[8] = static_cast<std::uint8_t>(0x80 | (bytes[8] & 0x3f));

    std::string id;
    id.reserve(36);
    std::size_t position = 0;
    for (const std::size_t group : {4, 2, 2, 2, 6}) {
        if (position != 0) {
            id.push_back('-');
        }
        append_hex(id, bytes.data() + position, group);
        position += group;
    }
    return id;
}


std::string new_instance_id()
{
    const auto bytes = ahead.take();
    std::string id;
    append_hex(id, bytes.data(), bytes.size());
    return id;
}

} // namespace rollout
