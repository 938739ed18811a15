// A mutator that knows JSON: bytes alone seldom make an object with another member. Half of the time one of the JSON texts of
// an input, which stand one after the other with a NUL or a line's end between them, has one of its values replaced, removed,
// copied or renamed; the other half is libFuzzer's own.
#include "tests/fuzz/fuzzing.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <random>
#include <vector>

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t *data, std::size_t size, std::size_t max_size);

namespace {

using namespace rollout;
using generator = std::minstd_rand;

constexpr std::size_t most_nodes = 4096;

std::size_t below(generator &chance, std::size_t bound)
{
    return std::uniform_int_distribution<std::size_t>(0, bound - 1)(chance);
}


/// Every value of a text, and where it hangs.
struct node {
    json_t *parent = nullptr; ///< null for the root
    std::string key;          ///< in an object
    std::size_t index = 0;    ///< in an array
    json_t *value = nullptr;
};

void collect(json_t *value, node at, std::vector<node> &to)
{
    if (to.size() == most_nodes) {
        return;
    }
    at.value = value;
    to.push_back(at);
    for (std::size_t i = 0; i < json_array_size(value); ++i) {
        collect(json_array_get(value, i), {value, {}, i, nullptr}, to);
    }
    const char *key;
    json_t *member;
    json_object_foreach(value, key, member)
    {
        collect(member, {value, key, 0, nullptr}, to);
    }
}


json_ptr nested(std::size_t depth)
{
    json_ptr made(json_integer(1));
    for (std::size_t i = 0; i < depth; ++i) {
        json_ptr around(i % 2 == 0 ? json_array() : json_object());
        if (i % 2 == 0) {
            json_array_append_new(around.get(), made.release());
        } else {
            json_object_set_new(around.get(), "a", made.release());
        }
        made = std::move(around);
    }
    return made;
}


json_ptr odd_value(generator &chance)
{
    static constexpr std::array<json_int_t, 12> numbers = {
        0, 1, -1, 2, 100, 101, 65536, 2147483648, -2147483648, 4294967296, INT64_MAX, INT64_MIN};
    static constexpr std::array<std::string_view, 12> texts = {"",
                                                               ".",
                                                               "..",
                                                               "a/b",
                                                               "-",
                                                               "\n",
                                                               " ",
                                                               "%2F",
                                                               "{model_id}",
                                                               "\xC3\xA9",
                                                               "\xE2\x80\xA8",
                                                               std::string_view("a\0b", 3)};
    switch (below(chance, 10)) {
    case 0:
        return json_ptr(json_null());
    case 1:
        return json_ptr(json_boolean(below(chance, 2)));
    case 2:
        return json_ptr(json_real(below(chance, 2) == 0 ? 0.5 : -1e308));
    case 3:
        return json_ptr(json_array());
    case 4:
        return json_ptr(json_object());
    case 5:
        return json_make(std::string(below(chance, 1200), 'x'));
    case 6:
        return nested(1 + below(chance, 80));
    case 7:
    case 8:
        return json_ptr(json_integer(numbers[below(chance, numbers.size())]));
    default:
        return json_make(texts[below(chance, texts.size())]);
    }
}


void replace(const node &where, json_ptr value, json_ptr &root)
{
    if (where.parent == nullptr) {
        root = std::move(value);
    } else if (json_is_array(where.parent)) {
        json_array_set_new(where.parent, where.index, value.release());
    } else {
        json_object_set_new(where.parent, where.key.c_str(), value.release());
    }
}


void remove(const node &where)
{
    if (json_is_array(where.parent)) {
        json_array_remove(where.parent, where.index);
    } else if (where.parent != nullptr) {
        json_object_del(where.parent, where.key.c_str());
    }
}


/// Bytes of a string, changed by libFuzzer, which knows the dictionary.
json_ptr changed_text(const json_t *from)
{
    std::array<std::uint8_t, 512> bytes{};
    const auto text = json_text(from);
    const std::size_t size = std::min(text.size(), bytes.size());
    std::memcpy(bytes.data(), text.data(), size);
    const std::size_t made = LLVMFuzzerMutate(bytes.data(), size, bytes.size());
    return json_make({reinterpret_cast<const char *>(bytes.data()), made});
}


/// Between two texts of an input; a byte that says what a text is for may stand behind it.
bool is_border(char c) noexcept
{
    return c == '\0' || c == '\n';
}


bool change(json_ptr &root, generator &chance)
{
    std::vector<node> nodes;
    collect(root.get(), {}, nodes);
    const node &here = nodes[below(chance, nodes.size())];
    const node &there = nodes[below(chance, nodes.size())];
    switch (below(chance, 7)) {
    case 0:
        replace(here, odd_value(chance), root);
        return true;
    case 1:
        remove(here);
        return true;
    case 2: // another value of the text, as it is
        replace(here, json_ptr(json_deep_copy(there.value)), root);
        return true;
    case 3: // a member under another's name
        if (!json_is_object(here.value) || there.key.empty()) {
            return false;
        }
        json_object_set_new(here.value, there.key.c_str(), json_deep_copy(there.value));
        return true;
    case 4: // once more at the end
        return json_is_array(here.value) && json_array_size(here.value) < 64 &&
               json_array_append_new(here.value, json_deep_copy(there.value)) == 0;
    case 5: {
        if (!json_is_integer(here.value)) {
            return false;
        }
        const auto value = static_cast<std::uint64_t>(json_integer_value(here.value)); // wraps
        replace(here, json_make_number(below(chance, 2) == 0 ? value + 1 : value - 1), root);
        return true;
    }
    default: {
        if (!json_is_string(here.value)) {
            return false;
        }
        auto made = changed_text(here.value);
        if (!made) { // no longer UTF-8
            return false;
        }
        replace(here, std::move(made), root);
        return true;
    }
    }
}

} // namespace


extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t *data, std::size_t size, std::size_t max_size,
                                               unsigned int seed)
{
    generator chance(seed + 1);
    if (below(chance, 2) == 0) {
        return LLVMFuzzerMutate(data, size, max_size);
    }

    // The text that begins at an opening bracket or brace, up to where jansson finds its end.
    const std::string_view input(reinterpret_cast<const char *>(data), size);
    std::vector<std::size_t> begins;
    for (std::size_t i = 0; i < size; ++i) {
        if (input[i] == '{' && (i < 3 || is_border(input[i - 1]) || is_border(input[i - 2]))) {
            begins.push_back(i);
        }
    }
    if (begins.empty()) {
        return LLVMFuzzerMutate(data, size, max_size);
    }
    const std::size_t begin = begins[below(chance, begins.size())];
    json_error_t where;
    json_ptr root(json_loadb(input.data() + begin, size - begin, JSON_ALLOW_NUL | JSON_DISABLE_EOF_CHECK, &where));
    if (!root || !change(root, chance) || !root) {
        return LLVMFuzzerMutate(data, size, max_size);
    }
    const auto end = begin + static_cast<std::size_t>(where.position);
    const std::string made =
        std::string(input.substr(0, begin)) + json_compact(root.get()) + std::string(input.substr(end));
    if (made.size() > max_size) {
        return LLVMFuzzerMutate(data, size, max_size);
    }
    std::memcpy(data, made.data(), made.size());
    return made.size();
}
