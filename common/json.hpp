// jansson with an owner: what both processes need to read and build JSON without leaks.
#pragma once

#include <jansson.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace rollout {

struct json_release {
    void operator()(json_t *value) const noexcept { json_decref(value); }
};

/// Owns one reference.
using json_ptr = std::unique_ptr<json_t, json_release>;

/// One more reference to a value that somebody else owns.
inline json_ptr json_share(json_t *value) noexcept
{
    return json_ptr(json_incref(value));
}

/// A string's bytes (a NUL inside included), empty for anything that is not a string.
inline std::string_view json_text(const json_t *value) noexcept
{
    return json_is_string(value) ? std::string_view(json_string_value(value), json_string_length(value))
                                 : std::string_view();
}

/// A member's string; empty where the member is missing or no string.
inline std::string_view json_text(const json_t *object, const char *member) noexcept
{
    return json_text(json_object_get(object, member));
}

/// A member's integer; `otherwise` where the member is missing or no integer.
inline json_int_t json_number(const json_t *object, const char *member, json_int_t otherwise = 0) noexcept
{
    const json_t *value = json_object_get(object, member);
    return json_is_integer(value) ? json_integer_value(value) : otherwise;
}

/// The same value, or both none.
inline bool json_same(const json_t *one, const json_t *other) noexcept
{
    return one == other || json_equal(one, other) != 0;
}

/// A value that several may hold.
inline std::shared_ptr<const json_t> share(json_ptr value)
{
    return {value.release(), [](const json_t *held) { json_decref(const_cast<json_t *>(held)); }};
}

inline json_ptr json_make(std::string_view text)
{
    return json_ptr(json_stringn(text.data(), text.size()));
}

inline json_ptr json_make_number(std::uint64_t value)
{
    return json_ptr(json_integer(static_cast<json_int_t>(value)));
}

/// A member's integer that cannot be negative; 0 where it is missing, no integer, or negative.
inline std::uint64_t json_count(const json_t *object, const char *member) noexcept
{
    const json_int_t value = json_number(object, member);
    return value < 0 ? 0 : static_cast<std::uint64_t>(value);
}

/// Sets a member and takes the value's reference. The key is a C string without a NUL.
inline void json_put(json_t *object, const char *member, json_ptr value)
{
    json_object_set_new(object, member, value.release());
}

inline void json_put(json_t *object, const char *member, std::string_view text)
{
    json_put(object, member, json_make(text));
}

/// Compact JSON text; empty when memory is out or the value cannot be written.
inline std::string json_compact(const json_t *value, std::size_t extra_flags = 0)
{
    std::string text;
    const auto append = [](const char *bytes, std::size_t size, void *into) noexcept -> int {
        try {
            static_cast<std::string *>(into)->append(bytes, size);
            return 0;
        } catch (...) {
            return -1;
        }
    };
    if (json_dump_callback(value, append, &text, JSON_COMPACT | JSON_ENCODE_ANY | extra_flags) != 0) {
        text.clear();
    }
    return text;
}

} // namespace rollout
