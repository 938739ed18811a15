#include "worker/backend/triton/error_text.hpp"

#include "common/base/json.hpp"
#include "worker/base/format.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <utility>

namespace rollout {
namespace {

/// Larger bodies are not parsed as JSON, which would take the loop's time.
constexpr std::size_t max_json_bytes = 256 * 1024;

/// The most of a body that is searched: a message is at its beginning, the last line of a traceback at its end.
constexpr std::size_t max_searched_bytes = 64 * 1024;

constexpr std::string_view traceback_begins = "traceback (most recent call last)";
constexpr std::string_view not_explicit = "explicit model load / unload is not allowed";

char lower(char c) noexcept
{
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

/// Finds `what`, in lower case, in the text, ignoring case.
std::size_t find_word(std::string_view text, std::string_view what, std::size_t from = 0) noexcept
{
    if (from > text.size()) {
        return std::string_view::npos;
    }
    const auto found = std::search(text.begin() + static_cast<std::ptrdiff_t>(from), text.end(), what.begin(),
                                   what.end(), [](char one, char other) { return lower(one) == other; });
    return found == text.end() ? std::string_view::npos : static_cast<std::size_t>(found - text.begin());
}

bool has_word(std::string_view text, std::string_view what) noexcept
{
    return find_word(text, what) != std::string_view::npos;
}


std::string without_entities(std::string_view text)
{
    static constexpr std::array<std::pair<std::string_view, std::string_view>, 7> entities{{
        {"&lt;", "<"},
        {"&gt;", ">"},
        {"&quot;", "\""},
        {"&#39;", "'"},
        {"&apos;", "'"},
        {"&nbsp;", " "},
        {"&amp;", "&"},
    }};
    std::string plain;
    while (!text.empty()) {
        const auto *const entity =
            std::ranges::find_if(entities, [&](auto &candidate) { return text.starts_with(candidate.first); });
        if (entity != entities.end()) {
            plain += entity->second;
            text.remove_prefix(entity->first.size());
        } else {
            plain += text.front();
            text.remove_prefix(1);
        }
    }
    return plain;
}


/// Returns the text outside of tags, scripts and style sheets.
std::string without_tags(std::string_view html)
{
    std::string text;
    std::size_t position = 0;
    while (position < html.size()) {
        const std::size_t tag = html.find('<', position);
        text += html.substr(position, tag - position);
        if (tag == std::string_view::npos) {
            break;
        }
        std::size_t end = html.find('>', tag);
        for (const auto &[opens, closes] : {std::pair{"<script", "</script"}, std::pair{"<style", "</style"}}) {
            if (find_word(html.substr(tag, 8), opens) == 0) {
                const std::size_t close = find_word(html, closes, tag);
                end = close == std::string_view::npos ? close : html.find('>', close);
            }
        }
        text += ' ';
        position = end == std::string_view::npos ? html.size() : end + 1;
    }
    return without_entities(text);
}


std::string html_words(std::string_view html)
{
    const std::size_t title = find_word(html, "<title");
    if (title != std::string_view::npos) {
        const std::size_t begins = html.find('>', title);
        const std::size_t ends = find_word(html, "</title", title);
        if (begins != std::string_view::npos && ends != std::string_view::npos && begins < ends) {
            std::string words =
                clean_text(without_entities(html.substr(begins + 1, ends - begins - 1)), server_words_characters);
            if (!words.empty()) {
                return words;
            }
        }
    }
    return without_tags(html);
}


std::string_view last_line(std::string_view text)
{
    const auto is_blank = [](char c) { return std::isspace(static_cast<unsigned char>(c)) != 0; };
    while (!text.empty() && is_blank(text.back())) {
        text.remove_suffix(1);
    }
    const std::size_t before = text.rfind('\n');
    return before == std::string_view::npos ? text : text.substr(before + 1);
}


/// Returns the text of the member that gives the reason; empty if there is none.
std::string json_words(const json_t *value)
{
    if (json_is_string(value)) {
        return std::string(json_text(value));
    }
    for (const char *member : {"error", "detail", "message"}) {
        const json_t *found = json_object_get(value, member);
        if (json_is_string(found) && json_string_length(found) > 0) {
            return std::string(json_text(found));
        }
        if (json_is_object(found) && json_is_string(json_object_get(found, "message"))) {
            return std::string(json_text(found, "message"));
        }
        if (json_is_object(found) || json_is_array(found)) {
            return json_compact(found); // FastAPI's list of errors in a request
        }
    }
    return {};
}


std::string_view hint_for(const http_answer &answer, std::string_view words)
{
    if (has_word(words, not_explicit)) {
        return " (the server runs in poll or none mode: start it with --model-control-mode=explicit)";
    }
    if (answer.status == 403) {
        return " (does the server restrict this API, as Triton's --http-restricted-api does?)";
    }
    return {};
}


bool is_transient(const http_answer &answer, std::string_view words)
{
    if (answer.status == 503) {
        return !has_word(words, not_explicit);
    }
    return says_nothing_yet(answer) ||
           (has_word(words, "related model") && has_word(words, "currently loading or unloading"));
}

} // namespace


bool is_html(std::string_view text)
{
    const std::size_t first = text.find_first_not_of(" \t\r\n");
    return first != std::string_view::npos && text[first] == '<' &&
           (has_word(text, "<html") || has_word(text, "<!doctype") || has_word(text, "<title") ||
            has_word(text, "<body") || has_word(text, "<h1"));
}


std::string reason_text(std::string_view text)
{
    if (has_word(text, traceback_begins)) {
        text = last_line(text);
    }
    return clean_text(text, server_words_characters);
}


std::string error_text(std::string_view body)
{
    if (body.size() <= max_json_bytes) {
        // Bytes that are not UTF-8 would make otherwise valid JSON unreadable.
        const std::string text = valid_utf8(body);
        json_error_t error;
        const json_ptr parsed = json_read(text, JSON_DECODE_ANY | JSON_ALLOW_NUL, error);
        if (parsed) {
            const std::string words = json_words(parsed.get());
            const bool says_nothing = json_is_object(parsed.get()) && json_object_size(parsed.get()) == 0;
            return words.empty() && says_nothing ? "" : reason_text(words.empty() ? text : words);
        }
    }
    if (body.size() > max_searched_bytes) {
        const bool traceback = has_word(body.substr(0, max_searched_bytes), traceback_begins);
        body =
            traceback ? last_line(body.substr(body.size() - max_searched_bytes)) : body.substr(0, max_searched_bytes);
    }
    const std::string text = valid_utf8(body);
    return is_html(text) ? reason_text(html_words(text)) : reason_text(text);
}


bool says_nothing_yet(const http_answer &answer) noexcept
{
    return answer.may_pass() || answer.status == 429 || answer.status == 502 || answer.status == 503 ||
           answer.status == 504;
}


outcome refusal(const http_answer &answer, std::string_view server, std::string_view action)
{
    if (answer.canceled) {
        return outcome::canceled();
    }
    if (answer.status == 0) {
        std::string sentence = std::string(server) +
                               (answer.timed_out ? " was asked to " : " could not be asked to ") +
                               std::string(action) + (answer.timed_out ? ", and " : ": ") + answer.error;
        return answer.may_pass() ? outcome::transient(std::move(sentence)) : outcome::permanent(std::move(sentence));
    }
    const std::string words = error_text(answer.body);
    std::string sentence = std::string(server) + " refused to " + std::string(action) + ": HTTP " +
                           std::to_string(answer.status) + (words.empty() ? "" : ", " + words);
    sentence += hint_for(answer, words);
    return is_transient(answer, words) ? outcome::transient(std::move(sentence))
                                       : outcome::permanent(std::move(sentence));
}


outcome repository_refusal(const http_answer &answer, std::string_view server, std::string_view action,
                           std::string_view model)
{
    const bool no_route = answer.status == 404 || answer.status == 405 || answer.status == 501;
    outcome refused = refusal(answer, server, action);
    if (no_route && error_text(answer.body).find(model) == std::string::npos) {
        refused.detail +=
            ": it has no model repository extension (/v2/repository/models), so it cannot be told to load "
            "or unload models";
    }
    return refused;
}

} // namespace rollout
