#include "worker/config/name_template.hpp"

#include "worker/base/format.hpp"

#include <algorithm>
#include <functional>

namespace rollout {

namespace {

constexpr std::string_view config_prefix = "config.";


bool is_word_character(char c) noexcept
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';
}


/// Returns whether the text matches `[A-Za-z_][A-Za-z0-9_]*`.
bool is_parameter_name(std::string_view text) noexcept
{
    return !text.empty() && !(text.front() >= '0' && text.front() <= '9') &&
           std::all_of(text.begin(), text.end(), is_word_character);
}


/// Accepts what may become part of a path, of a URL and of a model's name.
bool is_plain_value(std::string_view text) noexcept
{
    return !text.empty() && text.front() != '.' && text.front() != '-' && text.find("..") == std::string_view::npos &&
           std::all_of(text.begin(), text.end(), [](char c) { return is_word_character(c) || c == '.' || c == '-'; });
}


/// Calls `literal` and `placeholder` for the pieces in order. Returns a sentence if the braces are unbalanced.
std::string each_piece(std::string_view text, const std::function<void(std::string_view)> &literal,
                       const std::function<void(std::string_view)> &placeholder)
{
    while (!text.empty()) {
        const auto open = text.find_first_of("{}");
        literal(text.substr(0, open));
        if (open == std::string_view::npos) {
            return {};
        }
        const auto close = text.find_first_of("{}", open + 1);
        if (text[open] == '}' || close == std::string_view::npos || text[close] == '{') {
            return "has a brace without its counterpart";
        }
        placeholder(text.substr(open + 1, close - open - 1));
        text.remove_prefix(close + 1);
    }
    return {};
}

} // namespace


std::string check_template(std::string_view text)
{
    std::string fault;
    const auto unbalanced = each_piece(
        text, [](std::string_view) {},
        [&fault](std::string_view name) {
            const bool known =
                name == "model_id" || name == "revision" || name == "part" ||
                (name.starts_with(config_prefix) && is_parameter_name(name.substr(config_prefix.size())));
            if (!known && fault.empty()) {
                fault = "has the placeholder {" + clean_text(name, 64) +
                        "}; there are {model_id}, {revision}, {part} and {config.NAME}";
            }
        });
    return unbalanced.empty() ? fault : unbalanced;
}


bool has_placeholder(std::string_view text, std::string_view wanted)
{
    bool found = false;
    each_piece(
        text, [](std::string_view) {}, [&](std::string_view name) { found = found || name == wanted; });
    return found;
}


std::string sample_of(std::string_view text)
{
    std::string filled;
    each_piece(
        text, [&filled](std::string_view literal) { filled += literal; },
        [&filled](std::string_view) { filled += '0'; });
    return filled;
}


std::string fill_template(std::string_view text, const template_values &values, std::vector<json_fault> &faults)
{
    std::string filled;
    bool whole = true;
    each_piece(
        text, [&filled](std::string_view literal) { filled += literal; },
        [&](std::string_view name) {
            if (name == "model_id") {
                filled += values.model_id;
            } else if (name == "revision") {
                filled += std::to_string(values.revision);
            } else if (name == "part") {
                if (values.part.empty()) {
                    faults.push_back(
                        {"/config/parts", "is missing: names and sources of this configuration hold {part}"});
                    whole = false;
                }
                filled += values.part;
            } else {
                const std::string member(name.substr(config_prefix.size()));
                const auto value = json_text(values.config, member.c_str());
                if (!is_plain_value(value)) {
                    faults.push_back({"/config/" + member,
                                      "must be a string of A-Z a-z 0-9 . _ - that does not begin with . or -: "
                                      "it becomes a part of a name or a path"});
                    whole = false;
                }
                filled += value;
            }
        });
    return whole ? filled : std::string();
}

} // namespace rollout
