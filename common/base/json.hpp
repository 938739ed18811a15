// jansson with ownership: what both processes need to read and build JSON without leaks.
#pragma once

#include <jansson.h>

#include <cstdint>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace rollout {

struct json_release {
    void operator()(json_t *value) const noexcept { json_decref(value); }
};

/// Owns one reference.
using json_ptr = std::unique_ptr<json_t, json_release>;

/// Adds a reference to a value that somebody else owns.
inline json_ptr json_share(json_t *value) noexcept
{
    return json_ptr(json_incref(value));
}

/// Returns a string's bytes (including any NUL); empty if the value is not a string.
inline std::string_view json_text(const json_t *value) noexcept
{
    return json_is_string(value) ? std::string_view(json_string_value(value), json_string_length(value))
                                 : std::string_view();
}

/// Returns a member's string; empty if the member is missing or not a string.
inline std::string_view json_text(const json_t *object, const char *member) noexcept
{
    return json_text(json_object_get(object, member));
}

/// Returns a member's integer; `otherwise` if the member is missing or not an integer.
inline json_int_t json_number(const json_t *object, const char *member, json_int_t otherwise = 0) noexcept
{
    const json_t *value = json_object_get(object, member);
    return json_is_integer(value) ? json_integer_value(value) : otherwise;
}

/// Returns a whole number, in any notation (JSON Schema's integer: 30, 30.0, 3e1); nothing for any other value, or if
/// it is out of range.
inline std::optional<json_int_t> json_whole(const json_t *value) noexcept
{
    if (json_is_integer(value)) {
        return json_integer_value(value);
    }
    constexpr double bound = 9223372036854775808.0; // 2^63
    const double real = json_is_real(value) ? json_real_value(value) : 0.5;
    if (!(real >= -bound && real < bound) || real != static_cast<double>(static_cast<json_int_t>(real))) {
        return std::nullopt;
    }
    return static_cast<json_int_t>(real);
}

/// Returns whether both values are the same, or both missing. The notation of a number does not matter.
inline bool json_same(const json_t *one, const json_t *other) noexcept
{
    if (one == other) {
        return true;
    }
    if (json_is_number(one) && json_is_number(other)) {
        const auto whole = json_whole(one);
        return whole ? whole == json_whole(other) : json_equal(one, other) != 0;
    }
    if (json_is_object(one) && json_is_object(other)) {
        const char *key;
        json_t *member;
        json_object_foreach(const_cast<json_t *>(one), key, member)
        {
            const json_t *same = json_object_get(other, key);
            if (same == nullptr || !json_same(member, same)) {
                return false;
            }
        }
        return json_object_size(one) == json_object_size(other);
    }
    if (json_is_array(one) && json_is_array(other)) {
        const std::size_t size = json_array_size(one);
        for (std::size_t i = 0; i < size; ++i) {
            if (!json_same(json_array_get(one, i), json_array_get(other, i))) {
                return false;
            }
        }
        return size == json_array_size(other);
    }
    return json_equal(one, other) != 0;
}

/// Converts a value to one with shared ownership.
inline std::shared_ptr<const json_t> share(json_ptr value)
{
    return {value.release(), [](const json_t *held) { json_decref(const_cast<json_t *>(held)); }};
}

// Functions that create or change values throw std::bad_alloc if out of memory: a document that lacks a member would
// be wrong.

inline json_ptr json_made(json_t *value)
{
    if (value == nullptr) {
        throw std::bad_alloc();
    }
    return json_ptr(value);
}

inline json_ptr json_make_object()
{
    return json_made(json_object());
}

inline json_ptr json_make_array()
{
    return json_made(json_array());
}

/// Returns null for a text that is not UTF-8.
inline json_ptr json_make(std::string_view text)
{
    const char *bytes = text.data() != nullptr ? text.data() : ""; // an empty view may have no data
    json_ptr string(json_stringn(bytes, text.size()));
    if (!string) {
        const json_ptr unchecked = json_made(json_stringn_nocheck(bytes, text.size()));
        string.reset(json_stringn(bytes, text.size()));
    }
    return string;
}

inline json_ptr json_make_number(std::uint64_t value)
{
    return json_made(json_integer(static_cast<json_int_t>(value)));
}

/// Returns a member's integer that cannot be negative; 0 if it is missing, not an integer, or negative.
inline std::uint64_t json_count(const json_t *object, const char *member) noexcept
{
    const json_int_t value = json_number(object, member);
    return value < 0 ? 0 : static_cast<std::uint64_t>(value);
}

/// Sets a member and takes the value's reference; does nothing for null. The key is a C string without a NUL.
inline void json_put(json_t *object, const char *member, json_ptr value)
{
    if (value && json_object_set_new(object, member, value.release()) != 0) {
        throw std::bad_alloc();
    }
}

/// Adds an element to an array and takes the value's reference; does nothing for null.
inline void json_add(json_t *array, json_ptr value)
{
    if (value && json_array_append_new(array, value.release()) != 0) {
        throw std::bad_alloc();
    }
}

/// Returns an array of the texts, without those that are not UTF-8.
inline json_ptr json_make_array(const std::vector<std::string> &texts)
{
    json_ptr array = json_make_array();
    for (const auto &text : texts) {
        json_add(array.get(), json_make(text));
    }
    return array;
}

inline json_ptr json_make_array(const std::vector<std::uint64_t> &numbers)
{
    json_ptr array = json_make_array();
    for (const auto number : numbers) {
        json_add(array.get(), json_make_number(number));
    }
    return array;
}

/// Returns the numbers of a member that is an array of them, without negative ones; nothing if there is no such member.
inline std::optional<std::vector<std::uint64_t>> json_counts(const json_t *object, const char *member)
{
    const json_t *array = json_object_get(object, member);
    if (!json_is_array(array)) {
        return std::nullopt;
    }
    std::vector<std::uint64_t> numbers;
    for (std::size_t i = 0; i < json_array_size(array); ++i) {
        if (const json_int_t value = json_integer_value(json_array_get(array, i)); value >= 0) {
            numbers.push_back(static_cast<std::uint64_t>(value));
        }
    }
    return numbers;
}

/// Parses JSON text. Returns null if it is malformed; `error` then says why.
inline json_ptr json_read(std::string_view text, std::size_t flags, json_error_t &error)
{
    json_ptr value(json_loadb(text.data(), text.size(), flags, &error));
    if (!value && (error.text[0] == '\0' || json_error_code(&error) == json_error_out_of_memory)) {
        throw std::bad_alloc();
    }
    return value;
}

inline void json_put(json_t *object, const char *member, std::string_view text)
{
    json_put(object, member, json_make(text));
}

/// Returns compact JSON text; empty for null. A value that cannot be written, for example one that contains itself,
/// throws as if out of memory: jansson does not distinguish the two.
inline std::string json_compact(const json_t *value, std::size_t extra_flags = 0)
{
    struct sink {
        std::string text;
        bool full = false; // jansson ignores a failure to write a member's name
    } to;
    const auto append = [](const char *bytes, std::size_t size, void *into) noexcept -> int {
        auto &out = *static_cast<sink *>(into);
        try {
            out.text.append(bytes, size);
            return 0;
        } catch (...) {
            out.full = true;
            return -1;
        }
    };
    if (value != nullptr &&
        (json_dump_callback(value, append, &to, JSON_COMPACT | JSON_ENCODE_ANY | extra_flags) != 0 || to.full)) {
        throw std::bad_alloc();
    }
    return std::move(to.text);
}

} // namespace rollout
