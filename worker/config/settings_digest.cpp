#include "worker/config/settings_digest.hpp"

#include "common/base/hash.hpp"

#include <cstdlib>
#include <memory>
#include <new>
#include <string_view>

namespace rollout {

namespace {

struct text_release {
    void operator()(char *text) const noexcept { std::free(text); }
};


std::string digest_of(const json_t *member)
{
    const std::unique_ptr<char, text_release> text(json_dumps(member, JSON_COMPACT | JSON_SORT_KEYS));
    if (!text) {
        throw std::bad_alloc();
    }
    constexpr std::string_view digits = "0123456789abcdef";
    constexpr int bits = 64;
    constexpr int bits_of_digit = 4;
    const auto hash = fnv1a().add(text.get()).value();
    std::string hex;
    for (int shift = bits - bits_of_digit; shift >= 0; shift -= bits_of_digit) {
        hex += digits[(hash >> shift) & 15U];
    }
    return hex;
}

} // namespace


std::string digest_of_shared(const settings &from)
{
    std::string all;
    const json_ptr none = json_make_object();
    for (const char *name : {"backends", "limits", "models", "rollout"}) {
        const json_t *member = json_object_get(from.document.get(), name);
        all +=
            (all.empty() ? "" : " ") + std::string(name) + ':' + digest_of(member != nullptr ? member : none.get());
    }
    return all;
}

} // namespace rollout
