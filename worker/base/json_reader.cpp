#include "worker/base/json_reader.hpp"

#include "worker/base/format.hpp"

#include <algorithm>

namespace rollout {

json_reader::json_reader(const json_t *value, std::string pointer, std::vector<json_fault> &faults)
    : value_(value), pointer_(std::move(pointer)), faults_(faults)
{
    if (!json_is_object(value)) {
        faults_.push_back({pointer_, "must be an object"});
    }
}


std::string json_reader::pointer_to(std::string_view name) const
{
    std::string pointer = pointer_ + '/';
    for (const char c : name) {
        pointer += c == '~' ? "~0" : c == '/' ? "~1" : std::string(1, c);
    }
    return pointer;
}


void json_reader::fault(const char *name, std::string detail)
{
    faults_.push_back({pointer_to(name), std::move(detail)});
}


const json_t *json_reader::take(const char *name, bool required)
{
    taken_.insert(name);
    const json_t *value = json_object_get(value_, name);
    if (value == nullptr && required && json_is_object(value_)) {
        fault(name, "is missing");
    }
    return value;
}


void json_reader::text(const char *name, std::string &to, bool required)
{
    const json_t *value = take(name, required);
    if (value == nullptr) {
        return;
    }
    const auto text = json_text(value);
    if (!json_is_string(value) || text.empty() || text.find('\0') != std::string_view::npos) {
        fault(name, "must be a string that is not empty");
        return;
    }
    to = text;
}


void json_reader::number(const char *name, std::uint64_t &to, std::uint64_t least, std::uint64_t most)
{
    const json_t *value = take(name);
    if (value == nullptr) {
        return;
    }
    const auto number = json_whole(value);
    if (!number || *number < 0 || static_cast<std::uint64_t>(*number) < least ||
        static_cast<std::uint64_t>(*number) > most) {
        fault(name, "must be a whole number from " + std::to_string(least) + " to " + std::to_string(most));
        return;
    }
    to = static_cast<std::uint64_t>(*number);
}


void json_reader::real(const char *name, double &to, double least, double most)
{
    const json_t *value = take(name);
    if (value == nullptr) {
        return;
    }
    const double number = json_number_value(value);
    if (!json_is_number(value) || !(number >= least && number <= most)) {
        fault(name, "must be a number from " + format_number(least) + " to " + format_number(most));
        return;
    }
    to = number;
}


void json_reader::flag(const char *name, bool &to)
{
    const json_t *value = take(name);
    if (value != nullptr && !json_is_boolean(value)) {
        fault(name, "must be true or false");
    } else if (value != nullptr) {
        to = json_is_true(value);
    }
}


void json_reader::texts(const char *name, std::vector<std::string> &to)
{
    const json_t *value = take(name);
    if (value == nullptr) {
        return;
    }
    if (!json_is_array(value)) {
        fault(name, "must be an array of strings");
        return;
    }
    to.clear();
    for (std::size_t i = 0; i < json_array_size(value); ++i) {
        const auto text = json_text(json_array_get(value, i));
        if (text.empty() || text.find('\0') != std::string_view::npos) {
            faults_.push_back({pointer_to(name) + '/' + std::to_string(i), "must be a string that is not empty"});
        } else {
            to.emplace_back(text);
        }
    }
}


void json_reader::word(const char *name, std::string &to, std::initializer_list<std::string_view> words)
{
    const json_t *value = take(name);
    if (value == nullptr) {
        return;
    }
    if (std::find(words.begin(), words.end(), json_text(value)) == words.end()) {
        std::string all;
        for (const auto word : words) {
            all += (all.empty() ? "\"" : ", \"") + std::string(word) + '"';
        }
        fault(name, words.size() == 1 ? "must be " + all : "must be one of " + all);
        return;
    }
    to = json_text(value);
}


const json_t *json_reader::object(const char *name, bool required)
{
    const json_t *value = take(name, required);
    if (value != nullptr && !json_is_object(value)) {
        fault(name, "must be an object");
        return nullptr;
    }
    return value;
}


const json_t *json_reader::array(const char *name, bool required)
{
    const json_t *value = take(name, required);
    if (value != nullptr && !json_is_array(value)) {
        fault(name, "must be an array");
        return nullptr;
    }
    return value;
}


void json_reader::refuse_others()
{
    const char *name;
    json_t *member;
    json_object_foreach(const_cast<json_t *>(value_), name, member)
    {
        if (!taken_.contains(name)) {
            faults_.push_back({pointer_to(name), "is not a known member"});
        }
    }
}

} // namespace rollout
