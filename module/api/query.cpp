#include "module/api/query.hpp"

#include "common/base/text.hpp"
#include "common/domain/limits.hpp"

#include <algorithm>

namespace rollout {

namespace {

/// The length to which an answer cuts an argument's name.
constexpr std::size_t name_characters = 64;


int hex_value(char c) noexcept
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}


std::string decoded(std::string_view text)
{
    std::string plain;
    plain.reserve(text.size());
    for (std::size_t i = 0; i < text.size(); ++i) {
        const int high = text[i] == '%' && i + 2 < text.size() ? hex_value(text[i + 1]) : -1;
        const int low = high >= 0 ? hex_value(text[i + 2]) : -1;
        if (low >= 0) {
            plain += static_cast<char>(high * 16 + low);
            i += 2;
        } else {
            plain += text[i] == '+' ? ' ' : text[i];
        }
    }
    return plain;
}


std::string quoted(std::string_view name)
{
    return '"' + clean_text(name, name_characters) + '"';
}


std::string listed(std::span<const std::string_view> names)
{
    std::string text;
    for (std::size_t i = 0; i < names.size(); ++i) {
        text += i == 0 ? "" : i + 1 == names.size() ? " and " : ", ";
        text += quoted(names[i]);
    }
    return text;
}


problem argument_problem(std::vector<problem::member> errors)
{
    problem answer;
    answer.status = 422;
    answer.detail = errors.size() == 1
                        ? "The argument " + quoted(*errors.front().parameter) + ' ' + errors.front().detail + '.'
                        : std::to_string(errors.size()) +
                              " arguments of the query are at fault: " + quoted(*errors.front().parameter) + ' ' +
                              errors.front().detail + ", and others.";
    if (errors.size() > limits::problem_members) {
        errors.resize(limits::problem_members);
    }
    answer.errors = std::move(errors);
    return answer;
}

} // namespace


std::vector<query_argument> read_query(std::string_view text)
{
    std::vector<query_argument> query;
    while (!text.empty()) {
        auto value = next_part(text, '&');
        if (!value.empty()) {
            const auto name = next_part(value, '=');
            query.push_back({decoded(name), decoded(value)});
        }
    }
    return query;
}


std::optional<std::string_view> find_argument(const std::vector<query_argument> &query,
                                              std::string_view name) noexcept
{
    const auto found = std::ranges::find(query, name, &query_argument::name);
    return found != query.end() ? std::optional<std::string_view>(found->value) : std::nullopt;
}


problem check_query(const std::vector<query_argument> &query, std::span<const std::string_view> known)
{
    std::vector<problem::member> errors;
    const auto add = [&errors](std::string_view name, std::string detail) {
        const std::string clean = clean_text(name, name_characters);
        if (std::ranges::find(errors, clean, &problem::member::parameter) == errors.end()) {
            errors.push_back({"", std::move(detail), clean});
        }
    };
    for (auto it = query.begin(); it != query.end(); ++it) {
        if (std::ranges::find(known, it->name) == known.end()) {
            add(it->name, known.empty() ? "is not known here; this route takes none"
                                        : "is not known here; this route takes " + listed(known));
        } else if (std::find_if(query.begin(), it, [it](const auto &earlier) { return earlier.name == it->name; }) !=
                   it) {
            add(it->name, "is given more than once");
        }
        if (errors.size() > limits::problem_members) {
            break;
        }
    }
    return errors.empty() ? problem{} : argument_problem(std::move(errors));
}


problem unusable_argument(std::string_view name, std::string_view rule)
{
    return argument_problem({{"", std::string(rule), std::string(name)}});
}

} // namespace rollout
