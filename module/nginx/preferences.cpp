#include "module/nginx/preferences.hpp"

#include "common/domain/limits.hpp"
#include "module/api/query.hpp"
#include "module/nginx/response.hpp"

#include <algorithm>
#include <array>
#include <charconv>

namespace rollout {

namespace {

/// A value over the bound becomes the bound: the client gets its answer then, and asks again.
std::optional<unsigned> seconds(std::string_view text) noexcept
{
    unsigned long value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (text.empty() || end != text.data() + text.size() ||
        (error != std::errc() && error != std::errc::result_out_of_range)) {
        return std::nullopt;
    }
    return error == std::errc() ? static_cast<unsigned>(std::min<unsigned long>(value, limits::wait_s))
                                : limits::wait_s;
}


std::string_view trimmed(std::string_view text) noexcept
{
    const auto first = text.find_first_not_of(" \t");
    if (first == std::string_view::npos) {
        return {};
    }
    return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}


} // namespace


problem read_wait_argument(ngx_http_request_t *r, preferences &wants)
{
    constexpr std::array<std::string_view, 1> known = {"wait"};
    const auto query = read_query(view_of(r->args));
    if (auto fault = check_query(query, known); !fault.detail.empty()) {
        return fault;
    }
    if (const auto given = find_argument(query, "wait")) {
        wants.wait = seconds(*given);
        if (!wants.wait) {
            return unusable_argument("wait", "must be a whole number of seconds");
        }
    }
    return {};
}


void parse_prefer(std::string_view value, preferences &wants) noexcept
{
    while (!value.empty()) {
        const auto comma = value.find(',');
        const auto element = value.substr(0, comma);
        value = comma == std::string_view::npos ? std::string_view() : value.substr(comma + 1);

        const auto preference = trimmed(element.substr(0, element.find(';')));
        const auto equals = preference.find('=');
        const auto name = trimmed(preference.substr(0, equals));
        if (same_word(name, "respond-async")) {
            wants.respond_async = true;
        } else if (same_word(name, "wait") && equals != std::string_view::npos && !wants.wait) {
            wants.wait = seconds(unquoted(trimmed(preference.substr(equals + 1))));
        }
    }
}


void read_prefer(ngx_http_request_t *r, preferences &wants) noexcept
{
    each_header(r, [&wants](std::string_view name, std::string_view value) {
        if (same_word(name, "prefer")) {
            parse_prefer(value, wants);
        }
        return true;
    });
}


std::string_view unquoted(std::string_view text) noexcept
{
    return text.size() >= 2 && text.front() == '"' && text.back() == '"' ? text.substr(1, text.size() - 2) : text;
}

} // namespace rollout
