#include "module/api/api_description.hpp"

#include "common/base/hash.hpp"

#include <openapi_text.hpp>

#include <algorithm>

namespace rollout {

namespace {

constexpr std::string_view server_in_text = R"("servers": [{"url": "/"}])";
constexpr std::string_view words_in_text =
    R"("enum": ["pending", "in_progress", "completed", "failed", "refused", "canceled"])";

constexpr auto server_at = openapi_text.find(server_in_text);
constexpr auto words_at = openapi_text.find(words_in_text);
static_assert(server_at != std::string_view::npos && words_at != std::string_view::npos && server_at < words_at,
              "module/openapi.json has its server, and further down the words for a status, in exactly this form");
static_assert(openapi_text.find(words_in_text, words_at + 1) == std::string_view::npos,
              "module/openapi.json has the words for a status once");

/// The texts between which a piece is put in place of what is there.
constexpr auto url_at = server_at + server_in_text.find('/');
constexpr auto list_at = words_at + words_in_text.find('[') + 1;
constexpr auto list_end = words_at + words_in_text.size() - 1;


/// Returns the path as a URI has it (RFC 3986, section 3.3). None of its characters needs an escape in JSON.
std::string escaped_path(std::string_view path)
{
    static constexpr std::string_view plain = "-._~!$&'()*+,;=:@/";
    static constexpr std::string_view digits = "0123456789ABCDEF";
    std::string escaped;
    for (const char c : path) {
        const bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                              plain.find(c) != std::string_view::npos;
        if (is_plain) {
            escaped += c;
        } else {
            const auto byte = static_cast<unsigned char>(c);
            escaped += {'%', digits[byte >> 4], digits[byte & 15]};
        }
    }
    return escaped;
}


std::string listed_words(dialect words)
{
    std::string list;
    for (std::size_t i = 0; i < task_statuses; ++i) {
        list += (list.empty() ? "\"" : ", \"") + std::string(status_name(static_cast<task_status>(i), words)) + '"';
    }
    return list;
}

} // namespace


api_description describe_api(std::string_view base, dialect words)
{
    api_description to;
    to.before = {openapi_text.substr(0, url_at), openapi_text.substr(url_at + 1, list_at - url_at - 1)};
    to.after = openapi_text.substr(list_end);
    to.server = base.empty() ? "/" : escaped_path(base);
    to.words = listed_words(words);
    static constexpr auto hash_of_text = fnv1a().add(openapi_text).value();
    to.hash = fnv1a(hash_of_text).add(to.server).add(to.words).value();
    return to;
}

} // namespace rollout
