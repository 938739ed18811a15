#include "module/api/task_request.hpp"

#include "common/domain/identifiers.hpp"
#include "common/domain/limits.hpp"

#include <algorithm>
#include <array>

namespace rollout {

namespace {

constexpr std::array own_members = {"model_id", "embedding_model_id", "task_id", "id", "parent_id", "config"};

using fault = problem::member;
using faults = std::vector<fault>;


problem unprocessable(faults errors)
{
    problem answer;
    answer.status = 422;
    const fault &first = errors.front();
    answer.detail = errors.size() > 1       ? std::to_string(errors.size()) + " members of the request are at fault."
                    : first.pointer.empty() ? "The body " + first.detail + "."
                                            : first.pointer + " " + first.detail + ".";
    if (errors.size() > limits::problem_members) {
        errors.resize(limits::problem_members);
    }
    answer.errors = std::move(errors);
    return answer;
}


problem not_json(const json_error_t &error)
{
    const auto code = json_error_code(&error);
    if (code == json_error_stack_overflow) {
        return unprocessable({{"", "is nested deeper than " + std::to_string(limits::json_depth) + " levels"}});
    }
    if (code == json_error_numeric_overflow) {
        return unprocessable({{"", std::string("has a number out of range: ") + error.text}});
    }
    problem answer;
    answer.status = 400;
    answer.detail = "The body is not JSON: " + std::string(error.text) + " (line " + std::to_string(error.line) +
                    ", column " + std::to_string(error.column) + ").";
    return answer;
}


/// Returns a reference token of RFC 6901.
std::string pointer_token(std::string_view key)
{
    std::string token;
    for (const char c : key) {
        if (c == '~') {
            token += "~0";
        } else if (c == '/') {
            token += "~1";
        } else {
            token += c;
        }
    }
    return token;
}


/// Returns a pointer to a member of the body, or to the whole body if the member's name is too long to repeat.
std::string pointer_to(std::string_view key)
{
    return key.size() < limits::pointer_bytes ? "/" + pointer_token(key) : "";
}


/// Finds nesting over the bound, and NULs, which no path, URL or program that may receive the value can carry.
std::optional<fault> find_hostile(const json_t *value, int depth)
{
    if (depth > limits::json_depth && (json_is_object(value) || json_is_array(value))) {
        return fault{"", "is nested deeper than " + std::to_string(limits::json_depth) + " levels"};
    }
    if (json_is_string(value) && json_text(value).find('\0') != std::string_view::npos) {
        return fault{"", "holds a NUL character"};
    }

    // The pointer is built on the way out, and only for a fault. If it gets too long, it names an enclosing value.
    const auto below = [](fault found, const std::string &token) {
        found.pointer = "/" + token + found.pointer;
        if (found.pointer.size() > limits::pointer_bytes) {
            found.pointer = token.size() < limits::pointer_bytes ? "/" + token : "";
        }
        return found;
    };
    for (std::size_t i = 0; i < json_array_size(value); ++i) {
        if (auto found = find_hostile(json_array_get(value, i), depth + 1)) {
            return below(std::move(*found), std::to_string(i));
        }
    }
    const char *key;
    json_t *member;
    json_object_foreach(const_cast<json_t *>(value), key, member)
    {
        if (auto found = find_hostile(member, depth + 1)) {
            return below(std::move(*found), pointer_token(key));
        }
    }
    return std::nullopt;
}


/// Reads a member that holds a name. Null counts as absent: some clients write it that way.
std::string read_name(const json_t *body, const char *member, bool (*is_name)(std::string_view) noexcept,
                      const char *rule, faults &errors)
{
    const json_t *value = json_object_get(body, member);
    if (value == nullptr || json_is_null(value)) {
        return {};
    }
    if (!json_is_string(value) || !is_name(json_text(value))) {
        errors.push_back({std::string("/") + member, std::string("must be a string of ") + rule});
        return {};
    }
    return std::string(json_text(value));
}


/// Reads a name from either of two members. If both are given, they must be equal.
std::string read_either(const json_t *body, const char *member, const char *other,
                        bool (*is_name)(std::string_view) noexcept, const char *rule, faults &errors)
{
    std::string name = read_name(body, member, is_name, rule, errors);
    std::string second = read_name(body, other, is_name, rule, errors);
    if (!name.empty() && !second.empty() && name != second) {
        errors.push_back({std::string("/") + other,
                          "differs from " + std::string(member) + "; they are two names of the same thing"});
    }
    return name.empty() ? second : name;
}


/// Returns the number of bytes of a JSON text without the white space between its tokens.
std::size_t packed_bytes(std::string_view body) noexcept
{
    std::size_t count = 0;
    bool in_string = false;
    bool escaped = false;
    for (const char c : body) {
        const bool blank = c == ' ' || c == '\t' || c == '\r' || c == '\n';
        count += in_string || !blank ? 1 : 0;
        if (c == '"' && !escaped) {
            in_string = !in_string;
        }
        escaped = in_string && c == '\\' && !escaped;
    }
    return count;
}


json_ptr read_config(task_kind kind, const json_t *body, faults &errors)
{
    json_ptr config = json_share(json_object_get(body, "config"));
    if (config != nullptr && !json_is_null(config.get()) && !json_is_object(config.get())) {
        errors.push_back({"/config", "must be an object"});
    }
    if (!json_is_object(config.get())) {
        config = json_make_object();
    }

    const char *key;
    json_t *member;
    json_object_foreach(const_cast<json_t *>(body), key, member)
    {
        if (std::any_of(own_members.begin(), own_members.end(),
                        [key](const char *own) { return std::string_view(own) == key; })) {
            continue;
        }
        if (kind == task_kind::deploy) {
            errors.push_back({pointer_to(key), "is not a member of a deployment; its parameters go into \"config\""});
        } else if (json_object_get(config.get(), key) != nullptr) {
            errors.push_back({pointer_to(key), "is given twice, here and in \"config\""});
        } else {
            json_put(config.get(), key, json_share(member));
        }
    }
    return config;
}

} // namespace


std::variant<task_request, problem> parse_task_request(task_kind kind, std::string_view body,
                                                       std::optional<std::string_view> idempotency_key)
{
    // Checked before parsing: a tree of small values takes many times the bytes of its text.
    if (body.size() > limits::packed_body_bytes) {
        if (const auto bytes = packed_bytes(body); bytes > limits::packed_body_bytes) {
            problem too_large;
            too_large.status = 413;
            too_large.detail = "The body has " + std::to_string(bytes) +
                               " bytes without white space; a task's is at most " +
                               std::to_string(limits::packed_body_bytes) + ".";
            return too_large;
        }
    }

    json_error_t error;
    constexpr std::size_t flags = JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL | JSON_DECODE_ANY;
    const json_ptr root = json_read(body, flags, error);
    if (!root) {
        return not_json(error);
    }
    if (!json_is_object(root.get())) {
        return unprocessable({{"", "must be a JSON object"}});
    }

    faults errors;
    if (auto found = find_hostile(root.get(), 1)) {
        errors.push_back(std::move(*found));
        return unprocessable(std::move(errors));
    }

    static constexpr char model_rule[] =
        "1 to 128 characters A-Z a-z 0-9 . _ - that begins with a letter or a digit and has no two dots in a row";
    static constexpr char task_rule[] = "1 to 64 characters A-Z a-z 0-9 _ -";

    task_request request;
    request.kind = kind;

    const std::size_t before = errors.size();
    request.model_id = read_either(root.get(), "model_id", "embedding_model_id", is_model_id, model_rule, errors);
    if (request.model_id.empty() && errors.size() == before) {
        errors.push_back({"/model_id", "is missing"});
    }

    request.task_id = read_either(root.get(), "task_id", "id", is_task_id, task_rule, errors);
    request.parent_id = read_name(root.get(), "parent_id", is_task_id, task_rule, errors);
    if (idempotency_key) {
        if (!is_task_id(*idempotency_key)) {
            errors.push_back(
                {"/task_id", std::string("as given by the header Idempotency-Key must be ") + task_rule});
        } else if (!request.task_id.empty() && request.task_id != *idempotency_key) {
            const bool by_id = json_text(root.get(), "task_id").empty();
            errors.push_back(
                {by_id ? "/id" : "/task_id", "differs from the header Idempotency-Key; they are the same thing"});
        } else {
            request.task_id = *idempotency_key;
        }
    }

    const json_ptr config = read_config(kind, root.get(), errors);
    // A deletion's parameters may be next to the names; they are stored as `config`, which is one level deeper.
    if (auto found = find_hostile(config.get(), 2); found && errors.empty()) {
        errors.push_back(std::move(*found));
    }
    if (!errors.empty()) {
        return unprocessable(std::move(errors));
    }

    request.config = json_compact(config.get());
    const std::size_t size = request.config.size();
    if (size > limits::config_bytes) {
        return unprocessable({{kind == task_kind::deploy ? "/config" : "",
                               "takes " + std::to_string(size) + " bytes as compact JSON, and the limit is " +
                                   std::to_string(limits::config_bytes)}});
    }

    if (request.task_id.empty()) {
        request.task_id = new_task_id();
    }
    return request;
}

} // namespace rollout
