// What the fuzzers share: a property that must hold, and the input cut into pieces.
#pragma once

#include "common/base/json.hpp"

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

/// A property of the code under test, as a sentence. Where it does not hold, libFuzzer keeps the input as a crash.
#define always(holds, sentence) ((holds) ? void() : broken(__FILE__, __LINE__, sentence))

[[noreturn]] inline void broken(const char *file, int line, const char *sentence)
{
    std::fprintf(stderr, "%s:%d: it does not hold that %s\n", file, line, sentence);
    std::abort();
}

/// Cuts an input into its parts: single bytes that choose, and texts that end with a NUL.
class pieces {
  public:
    pieces(const std::uint8_t *data, std::size_t size) : rest_(reinterpret_cast<const char *>(data), size) {}

    /// 0 at the end of the input.
    std::uint8_t byte()
    {
        if (rest_.empty()) {
            return 0;
        }
        const auto first = static_cast<std::uint8_t>(rest_.front());
        rest_.remove_prefix(1);
        return first;
    }

    /// Up to that byte, which goes with it, or to the end of the input.
    std::string_view text(char end = '\0')
    {
        const auto at = rest_.find(end);
        const auto text = rest_.substr(0, at);
        rest_.remove_prefix(at == std::string_view::npos ? rest_.size() : at + 1);
        return text;
    }

    /// All that is left.
    std::string_view rest() const noexcept { return rest_; }
    bool done() const noexcept { return rest_.empty(); }

  private:
    std::string_view rest_;
};

inline rollout::json_ptr parsed_json(std::string_view text, std::size_t flags = JSON_DECODE_ANY | JSON_ALLOW_NUL)
{
    return rollout::json_ptr(json_loadb(text.data(), text.size(), flags, nullptr));
}

/// What is written reads as the same value again.
inline bool is_whole_json(std::string_view text)
{
    return parsed_json(text, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL) != nullptr;
}
