// Writes JSON text directly, for data that is written for each request: building a tree first would take most of the
// time.
#pragma once

#include <charconv>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace rollout {

/// Writes compact JSON, member by member and element by element, in the order of the calls. Text must be UTF-8. Every
/// object and array that is begun must be ended; nothing checks that.
class json_writer {
  public:
    /// `expected_bytes`: the text may be longer.
    explicit json_writer(std::size_t expected_bytes = 0) { text_.reserve(expected_bytes); }

    json_writer &begin_object() { return open('{'); }
    json_writer &end_object() { return close('}'); }
    json_writer &begin_array() { return open('['); }
    json_writer &end_array() { return close(']'); }

    /// Writes the name of the member whose value comes next. It must not need an escape.
    json_writer &name(std::string_view of)
    {
        separate();
        text_.append(1, '"').append(of).append("\":");
        needs_comma_ = false;
        return *this;
    }

    json_writer &text(std::string_view value)
    {
        separate();
        text_ += '"';
        for (std::size_t done = 0; done < value.size();) {
            std::size_t plain = done;
            while (plain < value.size() && !is_special(value[plain])) {
                ++plain;
            }
            text_.append(value, done, plain - done);
            if (plain < value.size()) {
                escape(value[plain]);
            }
            done = plain + 1;
        }
        text_ += '"';
        return *this;
    }

    template <std::integral T>
    requires(!std::same_as<T, bool>) json_writer &number(T value)
    {
        char digits[24];
        const auto end = std::to_chars(digits, digits + sizeof(digits), value).ptr;
        return raw({digits, static_cast<std::size_t>(end - digits)});
    }

    /// Writes the shortest text that reads as the same number, with a decimal point. The number must be finite.
    json_writer &real(double value)
    {
        char digits[32];
        const auto end = std::to_chars(digits, digits + sizeof(digits), value).ptr;
        const std::string_view shortest(digits, static_cast<std::size_t>(end - digits));
        raw(shortest);
        if (shortest.find_first_of(".e") == std::string_view::npos) {
            text_ += ".0";
        }
        return *this;
    }

    json_writer &boolean(bool value) { return raw(value ? "true" : "false"); }
    json_writer &null() { return raw("null"); }

    /// Writes a value that is JSON text already.
    json_writer &raw(std::string_view json)
    {
        separate();
        text_ += json;
        return *this;
    }

    /// Returns the text.
    std::string take() { return std::move(text_); }

  private:
    static bool is_special(char c) noexcept { return static_cast<unsigned char>(c) < 0x20 || c == '"' || c == '\\'; }

    void separate()
    {
        if (needs_comma_) {
            text_ += ',';
        }
        needs_comma_ = true;
    }

    json_writer &open(char bracket)
    {
        separate();
        text_ += bracket;
        needs_comma_ = false;
        return *this;
    }

    json_writer &close(char bracket)
    {
        text_ += bracket;
        needs_comma_ = true;
        return *this;
    }

    /// Writes an escape (RFC 8259, section 7).
    void escape(char c)
    {
        static constexpr std::string_view letters = "\"\\\b\f\n\r\t";
        static constexpr std::string_view written = "\"\\bfnrt";
        if (const auto found = letters.find(c); found != std::string_view::npos) {
            text_.append(1, '\\').append(1, written[found]);
            return;
        }
        static constexpr char hex[] = "0123456789abcdef";
        text_.append("\\u00").append(1, hex[(c >> 4) & 0xf]).append(1, hex[c & 0xf]);
    }

    std::string text_;
    bool needs_comma_ = false;
};

} // namespace rollout
